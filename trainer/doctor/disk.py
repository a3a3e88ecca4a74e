"""Disk space that a whole run needs, and whether there is room for it."""

from collections.abc import Mapping

import keras
from etils import epath

from trainer.config import Config
from trainer.devices import memory
from trainer.doctor.dry_run import Footprint, footprint
from trainer.doctor.trainings import Trainings
from trainer.stages.soft_targets.plan import Building
from trainer.storage import files, workdir


def room(
    path: epath.Path,
    config: Config,
    trainings: Trainings,
    teachers: Mapping[str, keras.Model],
    *,
    building: Building | None,
    free: int | None,
) -> str:
    """Lists what a whole run keeps in the workdir `path`, and what of it is there.

    `building` is that of soft targets, if any; None of `free` bytes where no one knows.

    Raises:
      StorageError: less is free than is missing.
    """
    keep_checkpoints = config.runtime.keep_checkpoints
    needed = _trained_bytes(trainings, teachers, keep_checkpoints=keep_checkpoints)
    there = trainings.num_bytes_there()
    what, hint = "checkpoints and models", ""
    if building and workdir.soft_targets_folder(path, config).is_relative_to(path):
        needed += building.num_bytes
        there += building.num_bytes - building.missing_bytes
        what = "checkpoints, models and soft targets"
        hint = ", or put the soft targets elsewhere by distill.soft_targets_dir"
    missing = needed - there
    if free is not None and free < missing:
        raise files.StorageError(
            f"--workdir {path} needs about {memory.text(missing)} more for {what}, got "
            f"{memory.text(free)} free; make room, choose another --workdir, or lower "
            f"runtime.keep_checkpoints ({keep_checkpoints}){hint}"
        )
    told = "" if free is None else f", {memory.text(free)} free"
    return (
        f"about {memory.text(needed)} for {what}, {memory.text(there)} of it "
        f"there{told}"
    )


def _trained_bytes(
    trainings: Trainings, teachers: Mapping[str, keras.Model], *, keep_checkpoints: int
) -> int:
    """The size of all checkpoints and models, by the dry runs of each role's trainings.

    Checkpoints are the newest, the best and one in the making. A teacher is saved with
    and without a training.
    """
    needed = sum(_saved_bytes(footprint([model], {})) for model in teachers.values())
    for role, tried in trainings.trials.items():
        each = (keep_checkpoints + 2) * tried.footprint.state
        if role not in teachers:
            each += _saved_bytes(tried.footprint)
        needed += trainings.counts[role] * each
    return needed


def _saved_bytes(model: Footprint) -> int:
    """Bytes of the last and of the best model."""
    return 2 * model.weights
