"""The operations of RandAugment and TrivialAugment in all strengths and directions."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from trainer.data.image_operations import ONE

_VALUES = np.arange(256)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranges:
    """The most that operations do, at strength 1."""

    shear: float
    width: float  # pixels to the left or right
    height: float  # pixels up or down
    degrees: float
    factor: float  # by which colours get stronger or weaker, from 1
    bits: int  # that values lose


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """An operation with the numbers that it needs of these."""

    operation: str = "keep"
    factor: int = ONE
    coefficients: Sequence[int] = (0,) * 6  # of a move
    table: Sequence[int] = (0,) * 256  # of new values


def variants(
    most: Ranges, *, strengths: Sequence[float], height: int, width: int
) -> list[list[Variant]]:
    """Each of the 14 operations in all strengths, first in one direction."""
    factors = [
        functools.partial(_change, name, most.factor)
        for name in ("brighten", "contrast", "saturate", "sharpen")
    ]
    directed: list[Callable[[float], Variant]] = [
        lambda s: _move(1, most.shear * s, 0, 0, 1, 0),
        lambda s: _move(1, 0, 0, most.shear * s, 1, 0),
        lambda s: _move(1, 0, math.trunc(most.width * s), 0, 1, 0),
        lambda s: _move(1, 0, 0, 0, 1, math.trunc(most.height * s)),
        lambda s: _rotate(most.degrees * s, height=height, width=width),
        *factors,
    ]
    others: list[Callable[[float], Variant]] = [
        lambda s: _posterize(8 - round(most.bits * s)),
        lambda s: _solarize(255 * (1 - s)),
        lambda s: Variant(operation="stretch"),
        lambda s: Variant(operation="equalize"),
        lambda s: Variant(),
    ]
    signed = [sign * strength for sign in (1, -1) for strength in strengths]
    return [[operation(s) for s in signed] for operation in directed] + [
        [operation(abs(s)) for s in signed] for operation in others
    ]


def _move(a: float, b: float, c: float, d: float, e: float, f: float) -> Variant:
    """The pixel (x, y) is that at (a x + b y + c, d x + e y + f), of their middles."""
    moves = (a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5)
    coefficients = tuple(math.floor(value * ONE + 0.5) for value in moves)
    return Variant(operation="move", coefficients=coefficients)


def _rotate(degrees: float, *, height: int, width: int) -> Variant:
    """Turns around the middle of the image."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = width / 2, height / 2
    return _move(
        *(cosine, -sine, x - cosine * x + sine * y),
        *(sine, cosine, y - sine * x - cosine * y),
    )


def _change(name: str, most: float, strength: float) -> Variant:
    """Multiplies by more than 1, or by less."""
    return Variant(operation=name, factor=round((1 + most * strength) * ONE))


def _posterize(bits: int) -> Variant:
    """Keeps the first bits of each value."""
    table = _VALUES & ~(2 ** (8 - bits) - 1)
    return Variant(operation="look_up", table=table.tolist())


def _solarize(threshold: float) -> Variant:
    """Inverts values from a threshold on."""
    table = np.where(threshold > _VALUES, _VALUES, 255 - _VALUES)
    return Variant(operation="look_up", table=table.tolist())
