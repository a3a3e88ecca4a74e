"""Rows of tables as a trained model takes them, without labels. F = features."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.data.examples import DataError
from trainer.data.table_files import csv_rows, npz_arrays, number_of
from trainer.data.table_problems import number_rule, show_cell

ROW_FILES = (".csv", ".npz")

# The features as float64 [F], or why there are none.
Row = np.ndarray | str


def is_row_file(name: str) -> bool:
    """Whether a file is a table by its extension."""
    return name.lower().endswith(ROW_FILES)


def read_rows(path: str, columns: Sequence[str]) -> Iterator[Row]:
    """Each row of a file: the features `columns` [F], in this order.

    Other columns are as if they were not there. An array [M, K] has the features
    NAME[0] to NAME[K-1].

    Raises:
      DataError: it is no such file, or a feature is missing.
    """
    if not is_row_file(path):
        raise DataError(f"it must be a {' or '.join(ROW_FILES)} file with rows")
    return (_csv if path.lower().endswith(".csv") else _npz)(path, columns)


def _csv(path: str, columns: Sequence[str]) -> Iterator[Row]:
    lines = csv_rows(path)
    _, names = next(lines)
    _check_columns(names, columns)
    places = [names.index(column) for column in columns]
    for number, cells in lines:
        line = f"line {number}"
        if len(cells) == len(names):
            chosen = [cells[i] for i in places]
            yield _row(chosen, [_number(cell) for cell in chosen], columns, line)
        else:
            rule = f"must have {len(names)} cells as the first line has"
            yield f"{line}, {rule}, got {len(cells)}"


def _npz(path: str, columns: Sequence[str]) -> Iterator[Row]:
    found: dict[str, np.ndarray] = {}
    for name, values in npz_arrays(path).items():
        if values.ndim == 2:
            found |= {f"{name.strip()}[{i}]": v for i, v in enumerate(values.T)}
        elif values.ndim == 1:
            found[name.strip()] = values
    _check_columns(list(found), columns)
    for column in columns:
        values, first = found[column], found[columns[0]]
        if values.dtype.kind not in "biuf" or len(values) != len(first):
            raise DataError(
                f"array {column!r} must hold {len(first)} numbers, one a row, got "
                f"{len(values)} of {values.dtype}"
            )
    for i, numbers in enumerate(np.stack([found[name] for name in columns], axis=1)):
        yield _row(numbers, numbers.astype(np.float64), columns, f"row {i}")


def _check_columns(names: Sequence[str], columns: Sequence[str]) -> None:
    """Refuses a file without a feature, or with two of one name."""
    wrong = [column for column in columns if list(names).count(column) != 1]
    if wrong:
        known = ", ".join(map(repr, names)) or "none"
        raise DataError(
            "it must have each feature of the model once, got none or several of "
            f"{', '.join(map(repr, wrong))} among its columns {known}"
        )


def _number(cell: str) -> float:
    try:
        return number_of(cell)
    except ValueError:
        return math.nan


def _row(
    cells: Sequence[object] | np.ndarray,
    numbers: Sequence[float] | np.ndarray,
    columns: Sequence[str],
    place: str,
) -> Row:
    values = np.asarray(numbers, np.float64)
    for i in np.flatnonzero(~np.isfinite(values))[:1].tolist():
        return f"{place}, {number_rule(columns[i])}, got {show_cell(cells[i])}"
    return values
