"""The choice between a live teacher and its cache, where the config leaves it open.

All workers make the same calls, as with every collective.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from etils import epath

from trainer import console, optimizers, soft_targets
from trainer.config import Config, ConfigError, why_online
from trainer.devices import memory
from trainer.session import Session
from trainer.session.transfer_sets import several_splits, transfer_sets
from trainer.stages.soft_targets import formats
from trainer.storage import disk_space, workdir

_ASKED_TWICE = 8  # examples that tell whether a teacher predicts alike each time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """A source of soft targets, and the reason for it."""

    soft_targets: Literal["online", "cached"]
    reason: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"soft targets: {self.soft_targets}, because {self.reason}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demand:
    """The examples that the students of a run ask a teacher about."""

    reason: str  # why no cache can serve them; "" where one can
    num_asked: int = 0  # examples that they see, with repetitions
    # Predictions that caches need, by the whole splits that these are of.
    caches: Mapping[str, int] = dataclasses.field(default_factory=dict)


def settle(
    session: Session,
    find_demands: Callable[[], Sequence[Demand]],
    *,
    needs_cache: bool = False,
) -> Session:
    """The session with soft targets from where the first start chose, or chooses now.

    The choice is kept in the workdir, from when something has trained there.

    Raises:
      ConfigError: the choice is a live teacher for a command that `needs_cache`.
    """
    workers = session.devices.workers
    kept = workers.broadcast(lambda: _as_json(kept_choice(session.path)))
    choice = Choice(**kept) if kept else choose(session, find_demands(), session.path)
    if needs_cache and choice.soft_targets == "online":
        raise ConfigError(
            "distill.soft_targets must be 'cached' for a cache, got 'auto', which is "
            f"'online' here, because {choice.reason}; set it, in a --workdir where "
            "nothing has trained"
        )
    settled = with_choice(session, choice)
    if workers.is_chief:
        session.devices.hold.check()
        workdir.record(session.path, settled.config)
        console.log(choice.text)
    return settled


def recall(session: Session) -> Session:
    """The session with what the trainings in its workdir have begun with, if any."""
    choice = kept_choice(session.path)
    return with_choice(session, choice) if choice else session


def with_choice(session: Session, choice: Choice) -> Session:
    """The session of the same run, with soft targets from where `choice` says."""
    chosen = session.config.with_soft_targets(choice.soft_targets)
    return session.with_distill(chosen.distill)


def kept_choice(path: epath.Path) -> Choice | None:
    """The choice that the trainings in the workdir `path` have begun with, if any."""
    kept = workdir.chosen_soft_targets(path)
    if kept is None:
        return None
    return Choice(soft_targets=kept, reason=f"the trainings in {path} began so")


def choose(session: Session, demands: Sequence[Demand], path: epath.Path) -> Choice:
    """Chooses for runs that share the teacher of `session` and the workdir `path`.

    A cache that serves some of them is chosen where it pays for these.
    """
    able = [demand for demand in demands if not demand.reason]
    if not able:
        return Choice(soft_targets="online", reason=demands[0].reason)
    asked = sum(demand.num_asked for demand in able)
    sizes = {name: size for demand in able for name, size in demand.caches.items()}
    needed = sum(sizes.values())
    if asked <= needed:
        return Choice(
            soft_targets="online",
            reason=f"the students see {asked:,} examples, and a cache needs "
            f"predictions for {needed:,}",
        )
    if reason := _lack_of_room(session, needed, path) or _noise(session):
        return Choice(soft_targets="online", reason=reason)
    return Choice(
        soft_targets="cached",
        reason=f"the students see {asked:,} examples, and the teacher predicts "
        f"{needed:,} once{_precision(session)}",
    )


def demand(
    session: Session, num_students: int, *, num_replicas: int | None = None
) -> Demand:
    """The demand of the students of one run, on as many replicas as the session has."""
    config, datasets = session.config, session.datasets
    reason = (
        why_online(config)
        or _single_examples(config, num_replicas or session.devices.num_replicas)
        or several_splits(config, datasets)
    )
    if reason:
        return Demand(reason=reason)
    sets = transfer_sets(config, datasets)
    in_memory = _num_bytes(session) * sum(transfer.num_ids for transfer in sets)
    budget = config.data.memory_budget_bytes
    if in_memory > budget:
        return Demand(
            reason=f"all logits take {memory.text(in_memory)}, and "
            f"data.memory_budget_bytes allows {memory.text(budget)}"
        )
    section = config.student.train
    num_steps = optimizers.num_steps(section, num_examples=len(datasets.transfer))
    return Demand(
        reason="",
        num_asked=num_students * num_steps * section.global_batch_size,
        caches={
            f"{transfer.source.data.dataset} {transfer.split}": transfer.num_ids
            for transfer in sets
        },
    )


def _as_json(choice: Choice | None) -> dict[str, Any] | None:
    return dataclasses.asdict(choice) if choice else None


def _single_examples(config: Config, num_replicas: int) -> str:
    """The reason where one of both sides would predict one example at a time.

    These predictions differ in the last bits from those of a batch.
    """
    section = config.student.train
    if section.global_batch_size <= num_replicas * section.accumulate:
        return (
            f"student.train.global_batch_size = {section.global_batch_size} gives each "
            "replica one example at a time, which a teacher predicts otherwise than "
            "batches, by rounding"
        )
    if config.runtime.teacher_batch_size == 1:
        return (
            "runtime.teacher_batch_size = 1 has a cache predicted one example at a "
            "time, which differs from batches by rounding"
        )
    return ""


def _num_bytes(session: Session) -> int:
    """The size of all teachers' logits for one example."""
    every = formats.record_formats(session.networks)
    return sum(form.record.itemsize for form in every)


def _lack_of_room(session: Session, num_predictions: int, path: epath.Path) -> str:
    """The reason where the disk of `path` has no room for caches, as the chief sees."""
    framing = len(session.config.teachers) * soft_targets.FRAMING_BYTES
    in_files = num_predictions * (_num_bytes(session) + framing)
    free = session.devices.workers.broadcast(lambda: disk_space.free_bytes(path))
    if free is None or in_files <= free:
        return ""
    return (
        f"all logits take {memory.text(in_files)} in files, and {path} has "
        f"{memory.text(free)} free"
    )


def _noise(session: Session) -> str:
    """The reason where a teacher predicts one batch in two ways."""
    networks, transfer = session.networks, session.datasets.transfer
    batch = transfer.read(np.arange(min(_ASKED_TWICE, len(transfer))))
    noisy = []
    for role, section in networks.config.teachers.items():
        model = networks.build_alone(role, section.seed)
        first, second = (np.asarray(model(batch, training=False)) for _ in range(2))
        if not np.array_equal(first, second, equal_nan=True):
            noisy.append(f"{role} predicts the same images otherwise each time")
    return str(session.devices.workers.broadcast(lambda: "; ".join(noisy)))


def _precision(session: Session) -> str:
    """The end of the line where a cache is not a live teacher to the last bit."""
    devices, networks = session.devices, session.networks
    names = devices.strategy.extended.worker_devices
    policies = {networks.precision(role) for role in session.config.networks}
    reasons = {
        "XLA": devices.compiles("teacher") or devices.compiles("student"),
        "GPUs": any("GPU" in name for name in names),
        "mixed precision": policies != {"float32"},
    }
    why = [reason for reason, is_so in reasons.items() if is_so]
    if not why:
        return ""
    return f"; equal to a live teacher to rounding, with {' and '.join(why)}"
