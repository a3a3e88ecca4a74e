"""Images whose paths and classes are in a CSV file."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from trainer.config import DataConfig, places
from trainer.data.examples import DataError
from trainer.data.listed_files import ListedFiles
from trainer.data.table_files import csv_rows

_PATH, _SPLIT = "path", "split"


def images_of(data: DataConfig) -> dict[str, dict[str, str]]:
    """Reads the classes of the images by split and path: {split: {path: class}}.

    The first line names the columns: path, data.label_column where labels are read, and
    split where there is more than one. Paths are relative to the folder of the file.

    Raises:
      DataError: there is no such file, a column is missing, or a line cannot be used.
    """
    file = data.dataset.partition(":")[2]
    images: dict[str, dict[str, str]] = {}
    split_of: dict[str, str] = {}
    for line, row in _rows(data, file):
        path, split = row[_PATH], row.get(_SPLIT, "train")
        if split_of.setdefault(path, split) != split or path in images.get(split, ()):
            raise DataError(
                f"{file}, line {line}, must name an image once, got {path!r} again; "
                "remove one of both"
            )
        label = row[data.label_column] if data.is_labeled else ""
        images.setdefault(split, {})[path] = unicodedata.normalize("NFC", label)
    if not images:
        raise DataError(f"{file} must have rows below its first line, got none")
    return images


def check_kept(data: DataConfig, found: Mapping[str, str], lines: ListedFiles) -> None:
    """Finds that the images of a kept list have the classes that they had.

    Raises:
      DataError: one has another, or is no longer in the file.
    """
    examples = lines.take(lines.are_examples)
    for path, name in zip(examples.paths, examples.classes, strict=True):
        now = found.get(path)
        if now is None or (now != name and data.is_labeled):
            raise DataError(
                f"{data.dataset!r} must have {path!r} of class {name!r}, with which "
                "this run began, got "
                f"{'no such path' if now is None else repr(now)}; put it back, or "
                "start anew in another --workdir"
            )


def _rows(data: DataConfig, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of each line and what is in its columns."""
    if not tf.io.gfile.exists(file):
        raise DataError(
            f"{data.setting} must name a CSV file in UTF-8 after 'list:', got "
            f"{file!r}, which is not there; {places.path_hint(file)}"
        )
    rows = csv_rows(file)
    _, columns = next(rows)
    _check_columns(data, file, columns)
    wanted = [name for name in columns if name in _wanted(data)]
    for line, cells in rows:
        row = dict(zip(columns, map(str.strip, cells), strict=False))
        if len(cells) != len(columns) or not all(row[name] for name in wanted):
            raise DataError(
                f"{file}, line {line}, must have {len(columns)} cells, those of "
                f"{', '.join(wanted)} not empty, got {cells}; mend it"
            )
        yield line, row


def _wanted(data: DataConfig) -> list[str]:
    return [_PATH, _SPLIT, *([data.label_column] if data.is_labeled else [])]


def _check_columns(data: DataConfig, file: str, columns: Sequence[str]) -> None:
    wanted = [name for name in _wanted(data) if name != _SPLIT]
    missing = [name for name in wanted if name not in columns]
    if missing or len(set(columns)) < len(columns):
        raise DataError(
            f"{file} must name its columns in the first line, each once, with "
            f"{' and '.join(wanted)} among them, got {list(columns)}; add them, or set "
            "data.label_column"
        )
