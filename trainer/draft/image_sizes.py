"""The size at which models take images whose own sizes differ."""

import statistics
from collections.abc import Sequence

_USUAL = (32, 48, 64, 96, 128, 160, 192, 224)  # pixels a side, up to what nets expect

Size = tuple[int, int]  # height and width


def side(sizes: Sequence[Size]) -> int:
    """Pixels a side: as stored where all are small squares of one size."""
    middle = round(statistics.median(min(size) for size in sizes))
    is_one_square = len(set(sizes)) == 1 and len(set(sizes[0])) == 1
    if middle < _USUAL[0] or (is_one_square and middle <= _USUAL[-1]):
        return middle
    return max(usual for usual in _USUAL if usual <= middle)


def text(sizes: Sequence[Size]) -> str:
    """The sizes in words."""
    (low, high), (small, large) = (
        (min(values), max(values)) for values in zip(*sizes, strict=True)
    )
    if len(set(sizes)) == 1:
        return f"{low} x {small} pixels"
    return f"{low} to {high} pixels high and {small} to {large} wide"
