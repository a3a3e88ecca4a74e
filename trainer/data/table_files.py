"""Files of rows and columns. M = rows, F = features."""

import array
import collections
import csv
import dataclasses
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from trainer.config import DataConfig
from trainer.data.class_names import text_of
from trainer.data.decode import reason
from trainer.data.examples import DataError
from trainer.data.table_problems import Problems, check_numbers, number_rule, show_cell

# Of a file that is damaged, of another kind, or holds Python objects.
_NPZ_ERRORS = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)

NAMELESS = re.compile(r"(Unnamed: [0-9]+)?")  # as pandas writes and reads them


@dataclasses.dataclass(frozen=True)
class Table:
    """The columns of a table's file."""

    path: str
    labels: list[str]  # M
    feature_names: tuple[str, ...]  # F
    features: np.ndarray  # float64 [M, F]
    problems: Problems  # with its columns and cells, none of which may be used then

    def __len__(self) -> int:
        return len(self.labels)


def read_csv(path: str, data: DataConfig) -> Table:
    """Reads comma-separated values in UTF-8, whose first line names the columns.

    Raises:
      DataError: it is no such file, or a column that is asked for is missing.
    """
    problems = Problems()
    rows = csv_rows(path)
    _, columns = next(rows)
    names = _feature_columns(path, columns, data, problems)
    places = [columns.index(name) for name in names]
    label_place = columns.index(data.label_column)
    labels, lines = [], []
    # Converted row by row: the text of all cells is many times their numbers.
    numbers = array.array("d")
    for number, cells in rows:
        line = f"line {number}"
        if len(cells) != len(columns):
            rule = f"must have {len(columns)} cells as the first line has"
            problems.add(rule, str(len(cells)), line)
            continue
        numbers.extend([_feature(cells[i], columns[i], line, problems) for i in places])
        labels.append(_label(cells[label_place], line, data, problems))
        lines.append(number)
    if not labels and not problems:
        raise DataError(f"{path} must have rows below its first line, got none")
    features = np.array(numbers).reshape(len(labels), len(names))
    table = Table(path, labels, names, features, problems)
    return _check(table, data, place=lambda row: f"line {lines[row]}")


def read_npz(path: str, data: DataConfig) -> Table:
    """Reads arrays by their names: labels [M], features [M] or [M, K], flattened.

    Raises:
      DataError: it is no such file, an array is missing, or the labels are no list.
    """
    problems = Problems()
    stored = npz_arrays(path)
    names = [name.strip() for name in stored]
    chosen = _feature_columns(path, names, data, problems)
    arrays = dict(zip(names, stored.values(), strict=True))
    label_array = arrays[data.label_column]
    if label_array.ndim != 1 or not len(label_array):
        raise DataError(
            f"{path}, array {data.label_column!r}, must be a list of labels, got the "
            f"shape {label_array.shape}; store one label a row"
        )
    labels = [
        _label(label, f"row {row}", data, problems)
        for row, label in enumerate(label_array.tolist())
    ]
    blocks = {
        column: _npz_block(column, arrays[column], len(labels), problems)
        for column in chosen
    }
    features = np.concatenate(list(blocks.values()), axis=1)
    feature_names = tuple(
        f"{column}[{i}]" if arrays[column].ndim == 2 else column
        for column, block in blocks.items()
        for i in range(block.shape[1])
    )
    table = Table(path, labels, feature_names, features, problems)
    return _check(table, data, place=lambda row: f"row {row}")


def _check(table: Table, data: DataConfig, *, place: Callable[[int], str]) -> Table:
    """The table, with the problems of its numbers noted; `place` names a row."""
    check_numbers(
        table.problems,
        dict(zip(table.feature_names, table.features.T, strict=True)),
        place=place,
        may_count=bool(data.feature_columns),
    )
    return table


def csv_rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """The line and the cells of each row; the first ones are the columns' names.

    Raises:
      DataError: it is no such file.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        yield reader.line_num, columns
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}, must hold comma-separated values, got "
            f"an error: {error}; mend the line"
        ) from error


def _text(path: str) -> str:
    try:
        # Excel starts a file with a byte order mark.
        return _contents(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} must be text in UTF-8, got an error: {error}; save it as such"
        ) from error


def npz_arrays(path: str) -> dict[str, np.ndarray]:
    """The arrays of a file by their names.

    Raises:
      DataError: it is no such file.
    """
    try:
        # Not numpy.load, which takes a file of one array as well.
        with np.lib.npyio.NpzFile(io.BytesIO(_contents(path))) as file:
            return dict(file)
    except _NPZ_ERRORS as error:
        raise DataError(
            f"{path} must hold arrays of numbers and text by their names, got an "
            f"error: {error}; write it with numpy.savez"
        ) from error


def _npz_block(
    column: str, values: np.ndarray, num_rows: int, problems: Problems
) -> np.ndarray:
    """An array of features as float64 [M, K]; one that is none has no column."""
    if values.dtype.kind not in "biuf":
        problems.add(f"array {column!r}, must hold numbers", str(values.dtype))
    elif values.ndim not in (1, 2) or len(values) != num_rows:
        rule = (
            f"array {column!r}, must have the shape [{num_rows}] or [{num_rows}, K] of "
            f"the labels' {num_rows} rows"
        )
        problems.add(rule, str(list(values.shape)))
    else:
        return values.reshape(num_rows, -1).astype(np.float64)
    return np.empty((num_rows, 0))


def _contents(path: str) -> bytes:
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            contents: bytes = file.read()
    except tf.errors.OpError as error:
        raise DataError(
            f"{path} must be a file that can be read, got an error: {reason(error)}"
        ) from error
    return contents


def _feature_columns(
    path: str, columns: Sequence[str], data: DataConfig, problems: Problems
) -> tuple[str, ...]:
    """The names of the features, after a check of all columns."""
    if not columns:
        raise DataError(f"{path} must name its columns and hold rows, got nothing")
    chosen = data.feature_columns
    others = tuple(dict.fromkeys(columns))
    others = tuple(name for name in others if name != data.label_column)
    for name, count in collections.Counter(columns).items():
        if count > 1:
            rule = f"must have a name for each column, got {name!r} again"
            problems.add(rule, f"{count} such columns")
    for i, name in enumerate([] if chosen else columns):
        if NAMELESS.fullmatch(name) and name != data.label_column:
            rule = f"column {i + 1}, must have a name where it is a feature"
            problems.add(rule, f"{name!r}, as tables have it that number their rows")
    asked = {"label_column": [data.label_column], "feature_columns": list(chosen)}
    known = ", ".join(map(repr, columns))
    unknown = [
        f"data.{setting} must name columns of {path}, got "
        f"{', '.join(repr(name) for name in names if name not in columns)}"
        for setting, names in asked.items()
        if set(names) - set(columns)
    ]
    if unknown:
        told = "; ".join([*unknown, *problems.sentences(path)])
        raise DataError(f"{told}; known: {known}")
    if not others:
        raise DataError(
            f"{path} must have a column beside {data.label_column!r}, got none; add "
            "features"
        )
    if len(set(chosen) - {data.label_column}) < len(chosen):
        raise DataError(
            f"data.feature_columns must name each column once and not "
            f"{data.label_column!r}, got {list(chosen)}; remove what is too much"
        )
    return chosen or others


def _feature(cell: str, column: str, line: str, problems: Problems) -> float:
    try:
        return number_of(cell)
    except ValueError:
        problems.add(number_rule(column), show_cell(cell), line)
        return 0.0


def number_of(cell: str) -> float:
    """The number in a cell.

    Raises:
      ValueError: there is none.
    """
    # Python takes 1_000 for a thousand, and nobody else does.
    return float(cell if "_" not in cell else "")


def _label(cell: object, where: str, data: DataConfig, problems: Problems) -> str:
    try:
        return text_of(cell)
    except ValueError as error:
        rule = f"column {data.label_column!r}, must be a label"
        problems.add(rule, str(error), where)
        return ""
