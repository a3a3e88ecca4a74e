"""Amounts as people read them: means with their spread, counts, intervals."""

import math
from typing import Any

from trainer.report.students_t import t_95


def value(
    mean: float | None, std: float | None = None, *, factor: float = 1, digits: int
) -> str:
    """`mean +- std`, or `mean`, or `-`; a whole number has no digits unless spread."""
    if mean is None or not math.isfinite(mean):
        return "-"
    if std is not None:
        return f"{factor * mean:.{digits}f} +- {factor * std:.{digits}f}"
    if factor == 1 and digits < 2 and float(mean).is_integer():
        return f"{mean:.0f}"
    return f"{factor * mean:.{digits}f}"


def format_count(mean: float, spread: float | None = None) -> str:
    """Formats a number of errors, such as "83.2 +- 2.1 errors"."""
    text = value(mean, spread, digits=1)
    return f"{text} error" if text == "1" else f"{text} errors"


def gain_interval(gain: dict[str, Any]) -> tuple[float, float] | None:
    """95% interval of a mean paired gain, in its own unit; None without an error."""
    if gain.get("standard_error") is None or len(gain["per_seed"]) < 2:
        return None
    degrees = len(gain["per_seed"]) - 1
    half = t_95(degrees) * gain["standard_error"]
    return gain["mean"] - half, gain["mean"] + half
