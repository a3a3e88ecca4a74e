"""Files of rows and columns. M = rows, F = features."""

import array
import csv
import dataclasses
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from trainer.config import DataConfig
from trainer.data.class_names import text_of
from trainer.data.decode import reason
from trainer.data.examples import DataError

# Of a file that is damaged, of another kind, or holds Python objects.
_NPZ_ERRORS = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """What a file holds."""

    path: str
    labels: list[str]  # M
    feature_names: tuple[str, ...]  # F
    features: np.ndarray  # float64 [M, F]

    def __len__(self) -> int:
        return len(self.labels)


def read_csv(path: str, data: DataConfig) -> Table:
    """Reads comma-separated values in UTF-8, whose first line names the columns.

    Raises:
      DataError: a column or cell is missing, or a feature is not a finite number.
    """
    rows = _csv_rows(path)
    _, columns = next(rows)
    names = _feature_columns(path, columns, data)
    label_place = columns.index(data.label_column)
    places = [columns.index(name) for name in names]
    # Converted row by row: the text of all cells is many times their numbers.
    numbers = array.array("d")
    labels: list[str] = []
    lines: list[int] = []
    for line, row in rows:
        try:
            numbers.extend([_number(row[place]) for place in places])
        except ValueError:
            bad = next(place for place in places if not _is_number(row[place]))
            where = f"{path}, line {line}"
            raise _no_number(row[bad], where, columns[bad]) from None
        labels.append(_label(row[label_place], f"{path}, line {line}", data))
        lines.append(line)
    if not labels:
        raise DataError(f"{path} must have rows below its first line, got none")
    features = np.array(numbers).reshape(len(labels), len(names))
    for i, j in np.argwhere(~np.isfinite(features))[:1]:
        number = numbers[i * len(names) + j]
        raise _no_number(number, f"{path}, line {lines[i]}", names[j])
    return Table(path=path, labels=labels, feature_names=names, features=features)


def read_npz(path: str, data: DataConfig) -> Table:
    """Reads arrays by their names: labels [M], features [M] or [M, K], flattened.

    Raises:
      DataError: an array is missing, of another length, or of no finite numbers.
    """
    arrays = _npz_arrays(path)
    columns = _feature_columns(path, list(arrays), data)
    label_array = arrays[data.label_column]
    if label_array.ndim != 1 or not len(label_array):
        raise DataError(
            f"{path}, array {data.label_column!r}, must be a list of labels, got the "
            f"shape {label_array.shape}; store one label a row"
        )
    labels = [
        _label(label, f"{path}, row {row}", data)
        for row, label in enumerate(label_array.tolist())
    ]
    names: list[str] = []
    blocks = []
    for column in columns:
        block = _npz_block(path, column, arrays[column], num_rows=len(labels))
        blocks.append(block)
        several = arrays[column].ndim == 2
        names += (
            [f"{column}[{i}]" for i in range(block.shape[1])] if several else [column]
        )
    features = np.concatenate(blocks, axis=1)
    for row, place in np.argwhere(~np.isfinite(features))[:1]:
        raise _no_number(features[row, place], f"{path}, row {row}", names[place])
    return Table(
        path=path, labels=labels, feature_names=tuple(names), features=features
    )


def _csv_rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """The line and the cells of each row; the first ones are the columns' names."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        yield reader.line_num, columns
        for row in reader:
            if len(row) != len(columns):
                raise DataError(
                    f"{path}, line {reader.line_num}, must have {len(columns)} cells "
                    f"as the first line has, got {len(row)}; mend or remove the line"
                )
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


def _npz_arrays(path: str) -> dict[str, np.ndarray]:
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
    path: str, column: str, values: np.ndarray, *, num_rows: int
) -> np.ndarray:
    """An array of features as float64 [M, K]."""
    if values.dtype.kind not in "biuf":
        raise DataError(
            f"{path}, array {column!r}, must hold numbers, got {values.dtype}; leave "
            "it out of the file, or name the others in data.feature_columns"
        )
    if values.ndim not in (1, 2) or len(values) != num_rows:
        raise DataError(
            f"{path}, array {column!r}, must have the shape [{num_rows}] or "
            f"[{num_rows}, K] of the labels' {num_rows} rows, got "
            f"{list(values.shape)}; mend the file"
        )
    return values.reshape(num_rows, -1).astype(np.float64)


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
    path: str, columns: Sequence[str], data: DataConfig
) -> tuple[str, ...]:
    """The names of the features, after a check of all columns."""
    if not columns:
        raise DataError(f"{path} must name its columns and hold rows, got nothing")
    known = ", ".join(map(repr, columns))
    repeated = [name for i, name in enumerate(columns) if name in columns[:i]]
    if repeated:
        raise DataError(
            f"{path} must have a name for each column, got {repeated[0]!r} again; "
            "rename one"
        )
    wanted = {"label_column": [data.label_column]}
    wanted["feature_columns"] = list(data.feature_columns)
    for setting, names in wanted.items():
        for name in names:
            if name not in columns:
                raise DataError(
                    f"data.{setting} must name columns of {path}, got {name!r}; "
                    f"known: {known}"
                )
    others = tuple(name for name in columns if name != data.label_column)
    if not others:
        raise DataError(
            f"{path} must have a column beside {data.label_column!r}, got none; add "
            "features"
        )
    chosen = data.feature_columns
    if len(set(chosen) - {data.label_column}) < len(chosen):
        raise DataError(
            f"data.feature_columns must name each column once and not "
            f"{data.label_column!r}, got {list(chosen)}; remove what is too much"
        )
    return chosen or others


def _number(cell: str) -> float:
    # Python takes 1_000 for a thousand, and nobody else does.
    if "_" in cell:
        raise ValueError(cell)
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _no_number(cell: object, where: str, column: str) -> DataError:
    got = repr(str(cell)) if str(cell).strip() else "an empty cell"
    return DataError(
        f"{where}, column {column!r}, must be a finite number, got {got}; "
        "mend it, leave the row out, or name other columns in data.feature_columns"
    )


def _label(cell: object, where: str, data: DataConfig) -> str:
    try:
        return text_of(cell)
    except ValueError as error:
        raise DataError(
            f"{where}, column {data.label_column!r}, must be a label, got {error}; "
            "mend it or leave the row out"
        ) from None
