"""Metrics of the validation split, which choose checkpoints and trials."""

import typing
from collections.abc import Mapping
from typing import Literal

from trainer.config.errors import ConfigError

Metric = Literal[
    "accuracy",
    "errors",
    "balanced_accuracy",
    "macro_f1",
    "auc",
    "top_5_accuracy",
    "nll",
    "brier",
    "ece",
    "agreement",
    "kl",
    "soft_nll",
]
ACCURACY: Metric = "accuracy"

_LESS_IS_BETTER = ("errors", "nll", "brier", "ece", "kl", "soft_nll")
# Whether more of each is better.
METRICS: Mapping[str, bool] = {
    name: name not in _LESS_IS_BETTER for name in typing.get_args(Metric)
}
# Of these, what compares a model with its teacher.
OF_TEACHER = ("agreement", "kl", "soft_nll")
TITLE = "eval/"  # before their names in metrics.jsonl

_LEAST_OF_TOP_5 = 6  # classes, of which five are not all


def check(path: str, select_by: str) -> None:
    """Refuses to select a teacher, in the training `path`, by a teacher of its own.

    Raises:
      ConfigError: it has none.
    """
    if path.startswith("teacher") and select_by in OF_TEACHER:
        raise ConfigError(
            f"{path}.select_by must be of the labels, got {select_by!r}: a teacher has "
            f"no teacher to be compared with; write {path}.select_by = {ACCURACY!r}"
        )


def check_classes(setting: str, metric: str, num_classes: int) -> None:
    """Refuses a metric that there is not for so many classes.

    Raises:
      ConfigError: it names the `setting`.
    """
    if metric == "auc" and num_classes != 2:
        needs, other = "two classes", "'balanced_accuracy' or 'macro_f1'"
    elif metric == "top_5_accuracy" and num_classes < _LEAST_OF_TOP_5:
        needs, other = f"{_LEAST_OF_TOP_5} classes or more", repr(ACCURACY)
    else:
        return
    raise ConfigError(
        f"{setting} = {metric!r} needs data of {needs}, got {num_classes} classes; use "
        f"{other}"
    )
