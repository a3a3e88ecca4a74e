"""The choice between a live teacher and its cache, where the config leaves it open."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from etils import epath

from trainer import console, optimizers, soft_targets
from trainer.config import Config, ConfigError, why_online
from trainer.devices import memory
from trainer.session import Session
from trainer.session.networks import Networks
from trainer.stages.soft_targets import caches
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


def settle(
    session: Session, students: Sequence[Config], *, needs_cache: bool = False
) -> Session:
    """The session with soft targets from where the first start chose, or chooses now.

    `students` has an entry for each student's training. The choice is kept in the
    workdir, from when something has trained there.

    Raises:
      ConfigError: the choice is a live teacher for a command that `needs_cache`.
    """
    workers = session.devices.workers
    _ = session.datasets.transfer  # all workers read it together
    found: dict[str, Any] = workers.broadcast(
        lambda: dataclasses.asdict(
            kept_choice(session.path) or choose(session, students, session.path)
        )
    )
    choice = Choice(**found)
    if needs_cache and choice.soft_targets == "online":
        raise ConfigError(
            "distill.soft_targets must be 'cached' for a cache, got 'auto', which is "
            f"'online' here, because {choice.reason}; set it, in a --workdir where "
            "nothing has trained"
        )
    chosen = session.config.with_soft_targets(choice.soft_targets)
    settled = session.with_distill(chosen.distill)
    if workers.is_chief:
        session.devices.hold.check()
        workdir.record(session.path, settled.config)
        console.log(choice.text)
    return settled


def kept_choice(path: epath.Path) -> Choice | None:
    """The choice that the trainings in the workdir `path` have begun with, if any."""
    kept = workdir.chosen_soft_targets(path)
    if kept is None:
        return None
    return Choice(soft_targets=kept, reason=f"the trainings in {path} began so")


def choose(session: Session, students: Sequence[Config], path: epath.Path) -> Choice:
    """Chooses for a run in the workdir `path`; in this process alone."""
    reason = (
        why_online(session.config)
        or _single_examples(session, students)
        or _unserved(session, students, path)
        or _noise(session.networks)
    )
    if reason:
        return Choice(soft_targets="online", reason=reason)
    needed = _num_predictions(session)
    asked = _num_asked(session, students)
    return Choice(
        soft_targets="cached",
        reason=f"the students see {asked:,} examples, and the teacher predicts "
        f"{needed:,} of them once{_precision(session)}",
    )


def _single_examples(session: Session, students: Sequence[Config]) -> str:
    """The reason where a live teacher would be asked about one example at a time.

    Its predictions then differ in the last bits from those of a batch.
    """
    for section in (config.student.train for config in students):
        parts = session.devices.num_replicas * section.accumulate
        if section.global_batch_size <= parts:
            return (
                f"student.train.global_batch_size = {section.global_batch_size} gives "
                "each replica one example at a time, which a teacher predicts "
                "otherwise than batches, by rounding"
            )
    return ""


def _unserved(session: Session, students: Sequence[Config], path: epath.Path) -> str:
    """The reason where a cache is impossible, or does not pay, or does not fit."""
    config, datasets = session.config, session.datasets
    setting = config.data.learned_from
    try:
        sets = caches.transfer_sets(config, datasets)
    except ConfigError:
        return f"{setting} = {config.data.splits[setting]!r} has several whole splits"
    needed, asked = _num_predictions(session), _num_asked(session, students)
    if asked <= needed:
        return (
            f"the students see {asked:,} examples, and a cache needs predictions for "
            f"{needed:,}"
        )
    record = caches.logits_format(config, datasets).record.itemsize
    in_memory = len(config.teachers) * record * sum(each.num_ids for each in sets)
    budget = config.data.memory_budget_bytes
    if in_memory > budget:
        return (
            f"all logits take {memory.text(in_memory)}, and data.memory_budget_bytes "
            f"allows {memory.text(budget)}"
        )
    in_files = len(config.teachers) * needed * (record + soft_targets.FRAMING_BYTES)
    free = disk_space.free_bytes(path)
    if free is not None and in_files > free:
        return (
            f"all logits take {memory.text(in_files)} in files, and {path} has "
            f"{memory.text(free)} free"
        )
    return ""


def _num_predictions(session: Session) -> int:
    """The number of examples that a cache holds predictions of."""
    sets = caches.transfer_sets(session.config, session.datasets)
    return sum(len(transfer.examples) for transfer in sets)


def _num_asked(session: Session, students: Sequence[Config]) -> int:
    """The number of examples, with repetitions, that all students see."""
    num_examples = len(session.datasets.transfer)
    return sum(
        config.student.train.global_batch_size
        * optimizers.num_steps(config.student.train, num_examples=num_examples)
        for config in students
    )


def _noise(networks: Networks) -> str:
    """The reason where a teacher predicts one batch in two ways."""
    transfer = networks.datasets.transfer
    batch = transfer.read(np.arange(min(_ASKED_TWICE, len(transfer))))
    for role, section in networks.config.teachers.items():
        model = networks.build_alone(role, section.seed)
        first, second = (np.asarray(model(batch, training=False)) for _ in range(2))
        if not np.array_equal(first, second, equal_nan=True):
            return f"{role} predicts the same images otherwise each time"
    return ""


def _precision(session: Session) -> str:
    """The end of the line where a cache is not a live teacher to the last bit."""
    devices, networks = session.devices, session.networks
    names = devices.strategy.extended.worker_devices
    policies = {networks.precision(role) for role in session.config.networks}
    reasons = {
        "XLA": devices.xla,
        "GPUs": any("GPU" in name for name in names),
        "mixed precision": policies != {"float32"},
    }
    why = [reason for reason, is_so in reasons.items() if is_so]
    if not why:
        return ""
    return f"; equal to a live teacher to rounding, with {' and '.join(why)}"
