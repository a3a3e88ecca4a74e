"""Metrics that select checkpoints and trials: whether validation gives them."""

import numpy as np

from trainer import console
from trainer.config import ConfigError
from trainer.config.selection import ACCURACY, OF_TEACHER, Metric, check_classes
from trainer.session.networks import Networks


def check_selection(networks: Networks) -> None:
    """Looks whether each training can be selected as its section says.

    Raises:
      ConfigError: it cannot.
    """
    for path, section in networks.config.trainings.items():
        check_metric(networks, section.select_by, setting=f"{path}.select_by")
    student = networks.config.student.train
    chosen = without_teacher(student.select_by)
    if chosen != student.select_by and networks.devices.workers.is_chief:
        console.log(
            f"student.train.select_by = {student.select_by!r} is of the student; the "
            f"baseline, which knows no teacher, is selected by {chosen!r}"
        )


def check_metric(networks: Networks, metric: str, *, setting: str) -> None:
    """Looks whether the validation split gives a metric that `setting` names.

    Raises:
      ConfigError: it does not, of these classes, labels or answers of the teacher.
    """
    check_classes(setting, metric, len(networks.datasets.source.class_names))
    split = networks.config.data.validation_split
    if metric == "auc" and len(np.unique(networks.datasets.validation.labels)) < 2:
        raise ConfigError(
            f"{setting} = {metric!r} needs examples of both classes in "
            f"data.validation_split = {split!r}, got one class; make the split larger, "
            f"or use {ACCURACY!r}"
        )
    if (
        metric in OF_TEACHER
        # One that is here may not be trained yet, and will have an answer.
        and networks.imported
        and networks.teacher_validation_logits is None
    ):
        raise ConfigError(
            f"{setting} must be without the teacher, whose answers on the validation "
            f"split are not imported, got {metric!r}; take {ACCURACY!r}, or add "
            "validation.npz"
        )


def without_teacher(metric: Metric) -> Metric:
    """The metric that selects a student's baseline, which has no teacher."""
    return ACCURACY if metric in OF_TEACHER else metric
