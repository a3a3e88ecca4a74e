"""Rules between the settings of a run and the pods that run it."""

import dataclasses
from collections.abc import Iterator

from launch.kubernetes.findings import Finding
from launch.kubernetes.trainer_config import Settings

# What the program and Kubernetes need after the trainer's own deadline has passed.
GRACE_MARGIN_SECS = 15


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pods:
    """The parts of a job that the rules look at."""

    workers: int
    gpus: int  # of each worker
    grace_secs: int  # from SIGTERM to SIGKILL


def check(settings: Settings, pods: Pods, *, where: str) -> Iterator[Finding]:
    """Yields what of the resolved `settings` the pods cannot do."""
    runtime = settings["runtime"]
    if pods.grace_secs < runtime["grace_secs"] + GRACE_MARGIN_SECS:
        yield Finding(
            where,
            "terminationGracePeriodSeconds (--grace-secs) must be at least "
            f"{runtime['grace_secs'] + GRACE_MARGIN_SECS}, which is runtime.grace_secs "
            f"({runtime['grace_secs']}) and {GRACE_MARGIN_SECS} more to end in, got "
            f"{pods.grace_secs}; raise it or lower runtime.grace_secs",
        )
    yield from check_gpus(runtime["min_gpus"], pods, where=where)
    yield from _check_strategy(runtime["strategy"], pods, where)
    yield from _check_batches(settings, pods, where)


def check_gpus(least: int, pods: Pods, *, where: str) -> Iterator[Finding]:
    """Yields whether a worker has fewer than the `least` GPUs that it asks for."""
    if least > pods.gpus:
        yield Finding(
            where,
            f"runtime.min_gpus must be at most the {pods.gpus} GPUs of a worker "
            f"(--gpus-per-worker), got {least}",
        )


def _check_strategy(strategy: str, pods: Pods, where: str) -> Iterator[Finding]:
    if pods.workers > 1 and strategy not in ("auto", "multi_worker"):
        yield Finding(
            where,
            f"runtime.strategy must be 'auto' or 'multi_worker' for {pods.workers} "
            f"workers, got {strategy!r}: each would train alone",
        )
    if pods.workers == 1 and strategy == "multi_worker":
        yield Finding(
            where,
            "runtime.strategy must be 'auto' for one worker, got 'multi_worker': the "
            "operator gives it no TF_CONFIG",
        )


def _check_batches(settings: Settings, pods: Pods, where: str) -> Iterator[Finding]:
    if pods.workers < 1:
        return  # no batch can be split; a rule on the job tells the number
    devices = pods.gpus or settings["runtime"]["logical_cpus"]
    if settings["runtime"]["strategy"] == "one_device":
        devices = 1
    teacher = settings["teacher"] or {}  # it may be elsewhere
    members = enumerate(teacher.get("members", ()))
    networks = {f"teacher.members[{i}]": member for i, member in members} or {
        "teacher": teacher
    }
    trainings = {
        f"{path}.{kind}": network.get(kind)
        for path, network in (networks | {"student": settings["student"]}).items()
        for kind in ("head", "train")
    } | {"finetune": settings["finetune"]}
    for path, train in trainings.items():
        if not train:
            continue
        parts = pods.workers * devices * train["accumulate"]
        size = train["global_batch_size"]
        if size % parts:
            nearest = max(1, round(size / parts)) * parts
            yield Finding(
                where,
                f"{path}.global_batch_size must be a multiple of {parts} "
                f"({pods.workers} workers x {devices} devices x accumulate "
                f"{train['accumulate']}), got {size}; nearest: {nearest}",
            )
