"""Confusion matrices of a page: cells that tell their counts, or images of many."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.report.chart import cut
from trainer.report.colours import slots
from trainer.report.inputs import display_name
from trainer.report.pixels import data_address

_MOST_CELLS = 20  # along one side, that can be pointed at
_MOST_COUNTED = 12  # along one side, that have room for a number
_MOST_PIXELS = 150
_POWER = 0.35  # stretches the low end of colours, where the errors are
_DARK = 0.15  # a share whose cell is dark
_COLOUR = (0, 104, 170)
CELL = 24  # pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Square:
    """A cell that holds examples."""

    row: int
    column: int
    alpha: float
    text: str  # its count, where there is room
    is_dark: bool
    tip: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matrix:
    """The matrix of a model, as squares or as an image."""

    name: str
    slot: int
    errors: int
    size: int
    names: tuple[str, ...]
    squares: tuple[Square, ...] = ()
    image: str = ""


def confusion(
    matrices: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> list[Matrix]:
    """The matrices of counts int [C, C], a row for each true class, by model."""
    colours = slots(matrices)
    return [
        _matrix(name, np.asarray(counts), class_names, colours[name])
        for name, counts in matrices.items()
    ]


def _matrix(
    name: str, counts: np.ndarray, class_names: Sequence[str], slot: int
) -> Matrix:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    is_small = len(class_names) <= _MOST_CELLS
    return Matrix(
        name=display_name(name),
        slot=slot,
        errors=int(counts.sum() - np.trace(counts)),
        size=len(class_names),
        names=tuple(cut(class_name, 9) for class_name in class_names),
        squares=_squares(counts, shares, class_names) if is_small else (),
        image="" if is_small else data_address(_pixels(shares)),
    )


def _squares(
    counts: np.ndarray, shares: np.ndarray, class_names: Sequence[str]
) -> tuple[Square, ...]:
    has_room = len(class_names) <= _MOST_COUNTED
    return tuple(
        Square(
            row=int(row),
            column=int(column),
            alpha=round(float(shares[row, column]) ** _POWER, 3),
            text=_short(int(counts[row, column])) if has_room else "",
            is_dark=bool(shares[row, column] > _DARK),
            tip=f"true {class_names[row]}, predicted {class_names[column]}\n"
            f"{counts[row, column]:,} examples, {100 * shares[row, column]:.1f} %",
        )
        for row, column in np.argwhere(counts)
    )


def _short(count: int) -> str:
    return f"{count}" if count < 1000 else f"{count / 1000:.0f}k"


def _pixels(shares: np.ndarray) -> np.ndarray:
    """The shares as RGBA; of many classes a pixel has the highest of its neighbours."""
    block = -(-len(shares) // _MOST_PIXELS)
    size = -(-len(shares) // block) * block
    padded = np.pad(shares, (0, size - len(shares)))
    blocks = padded.reshape(size // block, block, size // block, block).max(axis=(1, 3))
    alpha = np.round(255 * blocks**_POWER).astype(np.uint8)
    colour = np.broadcast_to(np.array(_COLOUR, np.uint8), (*alpha.shape, 3))
    return np.concatenate([colour, alpha[..., np.newaxis]], axis=2)
