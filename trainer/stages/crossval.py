"""The crossval command: a student for each fold, which learns from the other folds.

The fold of an example is a function of its id alone, so that it keeps it when others
come. Shapes: M = examples of the students' transfer set.
"""

import dataclasses
import statistics
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath

from trainer import data, prng
from trainer.config import ConfigError
from trainer.evaluation import metrics
from trainer.progress.folded import show
from trainer.report import crossval_table as tables
from trainer.session import Session, training
from trainer.session.datasets import Datasets
from trainer.session.networks import Networks
from trainer.session.run_devices import Devices
from trainer.stages import soft_targets
from trainer.stages.check import check, check_training
from trainer.stages.student import make_specs
from trainer.stages.teacher import teacher
from trainer.storage import files, seal
from trainer.storage.workdir import CROSSVAL, CROSSVAL_RESULTS, FINISHED

_FOLDS = "folds.json"  # how many the trainings beside it are of

Metrics = dict[str, Any]


def crossval(session: Session) -> None:
    """Writes crossval.json, unless it is there, and prints it.

    Teachers are trained and their predictions cached first, as the config says. What
    students have learned already is kept; the test split is not read.

    Raises:
      ConfigError: there is no [crossval] section, a fold would have no examples, or
        the workdir holds other folds.
    """
    section = session.config.crossval
    if section is None:
        raise ConfigError(
            "[crossval] must be in the config for the crossval command, got none; add "
            "the section with its folds, or --set=crossval.folds=5"
        )
    _check_begun(session.devices, session.path, section.folds)
    path = session.path / CROSSVAL_RESULTS
    if not session.devices.workers.broadcast(path.exists):
        measured = _measure(session, section.folds)
        if session.devices.workers.is_chief:
            files.write_json(path, seal.add_checksum(measured))
    if session.devices.workers.is_chief:
        show(tables.render(tables.read(session.path)))


def folds_of(ids: np.ndarray, *, num_folds: int) -> np.ndarray:
    """The fold of each example: int64 [M] -> int32 [M], from 0 to `num_folds` - 1.

    What has no label is in none, -1.
    """
    with tf.device("/cpu:0"):
        drawn = prng.integers(prng.key(0, ids), 1, low=0, high=num_folds - 1)
    folds: np.ndarray = np.where(ids < data.UNLABELED_FROM, drawn[:, 0].numpy(), -1)
    return folds


def _check_begun(devices: Devices, workdir: epath.Path, num_folds: int) -> None:
    path = workdir / CROSSVAL / _FOLDS
    begun = devices.workers.broadcast(
        lambda: (
            path.read_bytes().decode(errors="replace").strip()
            if path.exists()
            else str(num_folds)
        )
    )
    if begun != str(num_folds):
        raise ConfigError(
            f"crossval.folds must be that of {path}, {begun[:20]}, got {num_folds}; "
            f"set it back, or remove {path.parent} and "
            f"{workdir / CROSSVAL_RESULTS}"
        )


def _measure(session: Session, num_folds: int) -> Metrics:
    """The contents of crossval.json."""
    folds = folds_of(session.datasets.transfer.ids, num_folds=num_folds)
    _check_folds(session.datasets, folds, num_folds)
    check(session)
    if session.devices.workers.is_chief:
        files.write_json(session.path / CROSSVAL / _FOLDS, num_folds)
    teacher(session)
    if session.config.distill.is_cached:
        soft_targets.build(session)
    _train(session, folds, num_folds)
    found = [
        _measure_fold(session.networks, fold, folds == fold)
        for fold in range(num_folds)
    ]
    names = [name for name in found[0] if name != "fold"]
    columns = {name: [metrics[name] for metrics in found] for name in names}
    return {
        "folds": found,
        "mean": {name: statistics.fmean(values) for name, values in columns.items()},
        "std": {name: statistics.stdev(values) for name, values in columns.items()},
    }


def _check_folds(datasets: Datasets, folds: np.ndarray, num_folds: int) -> None:
    counts = np.bincount(folds[folds >= 0], minlength=num_folds)
    if not counts.all():
        raise ConfigError(
            f"crossval.folds must leave no fold without examples, got {num_folds}, of "
            f"which {np.sum(counts == 0)} would be empty with the {counts.sum()} "
            "labelled examples that students learn from; lower it"
        )
    # The fewest to learn from leave the fewest steps.
    section, fewest = datasets.config.student.train, len(folds) - int(counts.max())
    check_training(datasets, "student.train", section, fewest)


def _train(session: Session, folds: np.ndarray, num_folds: int) -> None:
    """Trains the students that are not there yet."""
    waiting = [
        fold
        for fold in range(num_folds)
        if not training.is_finished(session.devices, _folder(session.path, fold))
    ]
    if not waiting:
        return
    taught = make_specs(session)
    for fold in waiting:
        planned = dataclasses.replace(
            taught(session.config.seeds[0]),
            role=f"fold_{fold}_of_{num_folds}",
            folder=_folder(session.path, fold),
            examples=session.datasets.transfer.select(folds != fold),
        )
        training.train(session, planned)


def _folder(path: epath.Path, fold: int) -> epath.Path:
    return path / CROSSVAL / f"fold-{fold}"


def _measure_fold(networks: Networks, fold: int, is_held_out: np.ndarray) -> Metrics:
    """Metrics of the student of a fold, bool [M], on that fold, and of its teacher."""
    model = networks.build("student", networks.config.seeds[0])
    networks.load(model, _folder(networks.path, fold) / FINISHED, stage="crossval")
    examples = networks.datasets.transfer.select(is_held_out)
    logits = networks.devices.predictor(model, examples, role="student")()
    predictions = [
        networks.devices.predictor(teacher, examples, role="teacher")()
        for teacher in networks.teachers
    ]
    if networks.imported:
        predictions = [networks.imported.learned_logits(examples)]
    together = networks.combine_logits(predictions)
    measured = metrics.classification_metrics(logits, examples.labels)
    of_teacher = metrics.classification_metrics(together, examples.labels)
    return {
        "fold": fold,
        **{name: measured[name] for name in ("examples", "errors", "accuracy")},
        "agreement": metrics.teacher_metrics(logits, together)["agreement"],
        "teacher_accuracy": of_teacher["accuracy"],
    }
