"""Tables of a page: their cells, and what a cell has beside its text."""

import dataclasses
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """A text, maybe with an address, a hint, or the dot of a model's colour."""

    text: str
    address: str = ""
    hint: str = ""
    slot: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataTable:
    """A header, and rows whose first cells say what they are of."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str] | Sequence[str | Cell] | Sequence[Cell]],
) -> DataTable:
    """The table of cells, or of their texts."""
    return DataTable(
        header=tuple(header),
        rows=tuple(
            tuple(cell if isinstance(cell, Cell) else Cell(text=cell) for cell in row)
            for row in rows
        ),
    )


def with_dots(
    rows: Iterable[Sequence[str]], slots: dict[str, int]
) -> list[list[str | Cell]]:
    """The rows, whose first cells name models, with the dots of their colours."""
    return [[Cell(text=name, slot=slots.get(name)), *cells] for name, *cells in rows]
