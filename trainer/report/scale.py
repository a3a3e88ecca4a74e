"""Scales of charts: from values to places in a drawing, and the ticks between."""

import dataclasses
import math
from collections.abc import Iterable

_DECADE = 10  # the largest value over the smallest that a linear axis shows well
_MOST_TICKS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis from `low` at the place `start` to `high` at `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value, to a tenth of a pixel."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round values between the ends."""
        if self.is_log:
            found = _log_ticks(self.low, self.high)
            if len(found) > 1:
                return found
        return _linear_ticks(self.low, self.high)


def around(values: Iterable[float], *, margin: float = 0.06) -> tuple[float, float]:
    """The ends of a linear axis that holds the values with a margin."""
    values = list(values)
    low, high = min(values), max(values)
    room = margin * (high - low) or abs(high) * 0.1 or 1.0
    return low - room, high + room


def log_around(values: Iterable[float]) -> tuple[float, float]:
    """The ends of a logarithmic axis that holds the values with a margin."""
    values = list(values)
    low, high = min(values), max(values)
    room = (high / low) ** 0.06 if high > low else 1.5
    return low / room, high * room


def spans_decades(values: Iterable[float]) -> bool:
    """Whether positive values need a logarithmic axis."""
    values = list(values)
    return min(values) > 0 and max(values) > _DECADE * min(values)


def text_of_tick(value: float) -> str:
    """A round value as an axis has it."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= (1e4 if letter == "k" else size):
            return f"{value / size:.4g}{letter}"
    return f"{value:.6g}"


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / (_MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10, 20) if power * k >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside: list[float] = []
    for digits in ((1, 2, 5), (1,)):
        values = [float(f"{digit}e{power}") for power in powers for digit in digits]
        inside = [value for value in values if low <= value <= high]
        if len(inside) <= _MOST_TICKS:
            break
    return inside[:: -(-len(inside) // _MOST_TICKS) or 1]
