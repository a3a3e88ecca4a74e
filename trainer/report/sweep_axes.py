"""Axes of a sweep's charts: its settings, and the metric of its trials."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.config import value_text
from trainer.report.sweep_table import Trial

_MAX_TICKS = 12  # values that are named along an axis


def height(trial: Trial) -> float | None:
    """The metric of a trial; of one that was ended early the last that was seen."""
    if trial["status"] == "complete":
        return float(trial["value"])
    if trial["status"] == "pruned" and trial["reported"]:
        return float(trial["reported"][max(trial["reported"], key=int)])
    return None


class SettingAxis:
    """The positions of one setting's values on an axis."""

    def __init__(self, values: Mapping[str, Any] | Sequence[Any]) -> None:
        self.is_log = isinstance(values, Mapping) and bool(values["log"])
        self.choices = None if isinstance(values, Mapping) else list(values)
        if isinstance(values, Mapping):
            self._low, self._high = values["low"], values["high"]
        else:
            self._low, self._high = 0, len(values) - 1

    @property
    def ends(self) -> tuple[str, str]:
        """The first and the last value."""
        if self.choices:
            return value_text(self.choices[0]), value_text(self.choices[-1])
        return f"{self._low:.5g}", f"{self._high:.5g}"

    def place(self, value: Any) -> float:
        """The value, or the number of the choice."""
        return self.choices.index(value) if self.choices else float(value)

    def share(self, value: Any) -> float:
        """The distance from the low end, as a share of the axis from 0 to 1."""
        low, high, place = float(self._low), float(self._high), self.place(value)
        if low == high:
            return 0.5
        if self.is_log:
            return float(np.log(place / low) / np.log(high / low))
        return (place - low) / (high - low)

    def round_values(self) -> list[float]:
        """1, 2, 5, 10 and so on between the ends; the powers of 10 if too many."""
        low, high = float(self._low), float(self._high)
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digits in ((1, 2, 5), (1,)):
            found = [float(f"{digit}e{power}") for power in powers for digit in digits]
            inside = [value for value in found if low <= value <= high]
            if len(inside) <= _MAX_TICKS:
                break
        return inside
