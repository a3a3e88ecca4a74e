"""A look at a table: which column holds the labels, and which are features."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.config import DataConfig
from trainer.data.examples import DataError
from trainer.data.table_files import NAMELESS, Table, csv_rows, npz_arrays
from trainer.data.table_problems import counts_rows
from trainer.data.tables import READERS, files_of, open_table
from trainer.draft import roles
from trainer.draft.findings import Findings

Cells = Sequence[str] | np.ndarray

_LOOKED_AT = 1000  # rows that tell what a column holds
_LABELS = ("label", "labels", "class", "classes", "target", "category", "y")
_MOST_CLASSES = 20  # of a last column of numbers without such a name


def look(dataset: str, given: Mapping[str, Any]) -> Findings:
    """The findings on "csv:PATH" or "npz:PATH"; settings that are `given` hold.

    Raises:
      DataError: there is no such table, or no column of labels is found.
    """
    kind, _, path = dataset.partition(":")
    files = files_of(path.rstrip("/"), kind)
    columns = _columns(kind, files.get("train") or next(iter(files.values())))
    label = given.get("label_column") or _label_column(dataset, columns)
    names = tuple(given.get("feature_columns", ()))
    left_out = {} if names else _no_numbers(dataset, columns, label)
    data = DataConfig(
        dataset=dataset,
        label_column=label,
        feature_columns=names
        or tuple(k for k in columns if k not in (*left_out, label)),
    )
    tables = {name: READERS[kind](file, data) for name, file in files.items()}
    if not names:
        left_out |= _row_numbers(next(iter(tables.values())))
    settings: dict[str, Any] = {"label_column": label}
    notes = {}
    if left_out:
        names = tuple(k for k in data.feature_columns if k not in left_out)
        told = ", ".join(f"{name!r} ({why})" for name, why in left_out.items())
        settings["feature_columns"] = names
        notes["feature_columns"] = f"All but {told}."
    counts = {name: len(table) for name, table in tables.items()}
    splits, _ = roles.choose(counts)
    source = open_table(dataclasses.replace(data, feature_columns=names, **splits))
    return Findings(
        dataset=dataset,
        counts=counts,
        settings=settings,
        notes=notes,
        examples=f"rows of {source.input_shape[0]} numbers",
        class_names=source.class_names,
    )


def _columns(kind: str, path: str) -> dict[str, Cells]:
    """The first cells of each column, by its name."""
    if kind == "npz":
        stored = npz_arrays(path)
        return {
            name.strip(): np.atleast_1d(stored[name])[:_LOOKED_AT] for name in stored
        }
    (_, names), *rows = itertools.islice(csv_rows(path), _LOOKED_AT + 1)
    cells = itertools.zip_longest(*(row for _, row in rows), fillvalue="")
    return dict(zip(names, cells, strict=False))


def _no_numbers(
    dataset: str, columns: Mapping[str, Cells], label: str
) -> dict[str, str]:
    """The columns that are no features, with the reason."""
    texts = {name: "texts" for name, cells in columns.items() if _is_text(cells)}
    found = texts | {
        name: "without a name" for name in columns if NAMELESS.fullmatch(name)
    }
    left_out = {name: why for name, why in found.items() if name != label}
    if len(left_out) + 1 == len(columns):
        raise DataError(
            f"{dataset!r} must have a column of numbers beside {label!r}, got "
            f"{', '.join(map(repr, left_out)) or 'none'}; a list of image files, "
            "in the column path, is given as list:FILE.csv"
        )
    return left_out


def _row_numbers(table: Table) -> dict[str, str]:
    features = zip(table.feature_names, table.features.T, strict=True)
    return {name: "row numbers" for name, values in features if counts_rows(values)}


def _is_text(cells: Cells) -> bool:
    if isinstance(cells, np.ndarray):
        return cells.dtype.kind not in "biuf"
    return not all(map(_is_number, filter(str.strip, cells)))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _label_column(dataset: str, columns: Mapping[str, Cells]) -> str:
    known = {name.strip().casefold(): name for name in reversed([*columns])}
    found = next((known[name] for name in _LABELS if name in known), "")
    if found or not columns:
        return found
    last, cells = list(columns.items())[-1]
    is_list = np.ndim(cells) == 1
    values = set(cells) if is_list else set()
    if is_list and (
        _is_text(cells) or len(values) <= min(_MOST_CLASSES, len(cells) / 3)
    ):
        return last
    raise DataError(
        f"data.label_column must name the column of {dataset!r} that holds the "
        f"classes, got none that is called {', '.join(_LABELS[:-1])} or {_LABELS[-1]}; "
        f"known: {', '.join(map(repr, columns))}; add "
        "--set='data.label_column=\"NAME\"'"
    )
