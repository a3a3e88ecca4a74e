"""Metrics of a split as people read them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainer.config.selection import ACCURACY, TITLE
from trainer.report.amounts import value


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricText:
    """The title of a metric, and how its numbers are written."""

    title: str
    factor: float = 1
    digits: int = 3
    unit: str = ""

    @property
    def label(self) -> str:
        """The title with the unit, for an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def number(self, mean: float | None, std: float | None = None) -> str:
        """A number, or one with its spread, without the unit."""
        return value(mean, std, factor=self.factor, digits=self.digits)


_PERCENT: dict[str, Any] = {"factor": 100, "digits": 2, "unit": "%"}
_TEXTS: Mapping[str, MetricText] = {
    ACCURACY: MetricText(title="accuracy", **_PERCENT),
    "errors": MetricText(title="errors", digits=1),
    "excluded_errors": MetricText(title="excluded errors", digits=1),
    "balanced_accuracy": MetricText(title="balanced accuracy", **_PERCENT),
    "macro_f1": MetricText(title="macro F1", **_PERCENT),
    "auc": MetricText(title="AUC", digits=4),
    "top_5_accuracy": MetricText(title="top-5 accuracy", **_PERCENT),
    "nll": MetricText(title="NLL", unit="nats"),
    "brier": MetricText(title="Brier score", digits=4),
    "ece": MetricText(title="ECE", digits=4),
    "agreement": MetricText(title="agreement", **_PERCENT),
    "kl": MetricText(title="KL divergence", unit="nats"),
    "soft_nll": MetricText(title="soft NLL", unit="nats"),
}


def selecting(results: Mapping[str, Any]) -> str:
    """The metric by which the students' steps were chosen."""
    # Results of earlier versions lack it.
    return str(results.get("select_by", ACCURACY))


def text_of(metric: str) -> MetricText:
    """The words of a metric, with or without the `eval/` before its name."""
    return _TEXTS[metric.removeprefix(TITLE)]
