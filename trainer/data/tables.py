"""Tables of numbers with a column of labels. M = examples, F = features."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from trainer.config import DataConfig, places
from trainer.data import splits
from trainer.data.arrays import ArrayExamples
from trainer.data.class_names import order
from trainer.data.decode import reason
from trainer.data.description import describe
from trainer.data.examples import DataError
from trainer.data.host_memory import empty
from trainer.data.table_files import Table, read_csv, read_npz
from trainer.data.table_problems import label_problems, refusal

# Between these, and with less lost of a deviation than this, features are float32.
# Keras takes a deviation below 1e-7 for 1e-7, and float32 ends before its square does.
_SMALLEST_DEVIATION, _LARGEST_DEVIATION, _LOST = 1e-7, 1e18, 1e-3
_SMALLEST_VARIANCE = 1e-290  # below it float64 loses digits

READERS = {"csv": read_csv, "npz": read_npz}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableSource:
    """An opened table; see trainer.data.source.Source.

    A whole split is a file, in an order of its own; an id is the number of a row in it,
    counted from 0 without the line of names.
    """

    data: DataConfig
    tables: Mapping[str, Table]  # of the whole splits in use
    class_names: tuple[str, ...]
    num_transparent: int = 0  # rows are no images
    value_range: None = None  # models standardise rows, whatever their values

    @property
    def input_shape(self) -> tuple[int]:
        """The number of features."""
        return (len(feature_names(self)),)

    @property
    def input_dtype(self) -> str:
        """The type of the features: "float32" where that tells their values apart."""
        return next(iter(self.tables.values())).features.dtype.name

    @functools.cached_property
    def mean_and_variance(self) -> tuple[np.ndarray, np.ndarray]:
        """Each feature's mean [F] and variance [F] over the training split."""
        features = self.read(self.data.train_split).inputs
        mean = features.mean(axis=0, dtype=np.float64)
        variance = features.var(axis=0, dtype=np.float64)
        if self.input_dtype == "float64":
            table = next(iter(self.tables.values()))
            check_variance(
                features,
                variance,
                lambda i: f"{table.path}, column {table.feature_names[i]!r}",
            )
        return mean.astype(features.dtype), variance.astype(features.dtype)

    @property
    def num_examples(self) -> tuple[int, ...]:
        """The number of rows that train, select and test."""
        whole = _whole(self.tables)
        return tuple(
            len(splits.example_ids(whole, split)) for split in self.data.splits.values()
        )

    @property
    def description(self) -> str:
        """One line on what was opened."""
        return describe(
            self.data,
            num_examples=self.num_examples,
            num_classes=len(self.class_names),
            input_shape=self.input_shape,
            num_bytes=self.num_bytes,
            pipeline="in memory",
        )

    @property
    def num_bytes(self) -> int:
        """The size of the features of all examples."""
        return (
            sum(self.num_examples)
            * self.input_shape[0]
            * np.dtype(self.input_dtype).itemsize
        )

    @property
    def whole_splits(self) -> splits.Whole:
        """The files, and how many rows each has."""
        return _whole(self.tables)

    @property
    def contents(self) -> Mapping[str, str]:
        """The SHA-256 of each table in use, as a run keeps it."""
        return {
            name: self.fingerprint(name, num_ids=len(table))
            for name, table in self.tables.items()
        }

    def fingerprint(self, split: str, *, num_ids: int) -> str:
        """SHA-256 of the names and values of rows."""
        table = self.tables[split]
        digest = hashlib.sha256(repr(table.feature_names).encode())
        digest.update(np.ascontiguousarray(table.features[:num_ids]).tobytes())
        digest.update(repr(list(table.labels[:num_ids])).encode())
        return digest.hexdigest()

    def read(self, split: str) -> ArrayExamples:
        """The examples of `split`, in the order of the whole splits."""
        parts = self._parts(split)
        label_of = {name: label for label, name in enumerate(self.class_names)}
        labels = [label_of[table.labels[row]] for table, rows in parts for row in rows]
        inputs = empty((len(labels), *self.input_shape), np.dtype(self.input_dtype))
        np.concatenate([table.features[rows] for table, rows in parts], out=inputs)
        return ArrayExamples(
            inputs=inputs,
            labels=np.array(labels, np.int32),
            ids=np.concatenate([rows for _, rows in parts]),
        )

    def as_type(self, dtype: str) -> "TableSource":
        """Converts the features to a type."""
        tables = {
            name: dataclasses.replace(table, features=table.features.astype(dtype))
            for name, table in self.tables.items()
        }
        return dataclasses.replace(self, tables=tables)

    def _parts(self, split: str) -> list[tuple[Table, np.ndarray]]:
        """Stretches of whole splits, as rows of their files."""
        return [
            (self.tables[name], mixed_order(len(self.tables[name]))[first:last])
            for name, first, last in splits.parts_of(_whole(self.tables), split)
        ]


def open_table(data: DataConfig) -> TableSource:
    """Reads the files of the splits in use.

    Raises:
      DataError: no such file, unknown, empty or overlapping splits, columns or classes
        that differ between splits, a cell that cannot be used, more than the memory
        budget.
    """
    kind, _, path = data.dataset.partition(":")
    files = files_of(path, kind)
    tables = {
        name: READERS[kind](files[name], data)
        for name in splits.used_splits(data, files)
    }
    _check_cells(data, tables)
    splits.check(data, _whole(tables))
    first = next(iter(tables.values()))
    tables = {name: _align(table, first) for name, table in tables.items()}
    source = TableSource(data=data, tables=tables, class_names=order(first.labels))
    if all(fits_float32(table.features) for table in tables.values()):
        source = source.as_type("float32")
    if source.num_bytes > data.memory_budget_bytes:
        raise DataError(
            f"data.memory_budget_bytes must cover the features of {data.dataset!r}, "
            f"{source.num_bytes} bytes, got {data.memory_budget_bytes}; raise it, or "
            "take fewer columns or smaller splits"
        )
    return source


def feature_names(source: object) -> tuple[str, ...]:
    """The features of the rows of an opened dataset; () of all that is no table."""
    if not isinstance(source, TableSource):
        return ()
    return next(iter(source.tables.values())).feature_names


def _check_cells(data: DataConfig, tables: Mapping[str, Table]) -> None:
    """Refuses columns and cells of all files at once."""
    found = [
        sentence
        for table in tables.values()
        for sentence in table.problems.sentences(table.path)
    ]
    labels = [label for table in tables.values() for label in table.labels]
    if found := found + label_problems(labels, data):
        raise refusal(found)


def fits_float32(features: np.ndarray) -> bool:
    """Whether float32 tells the values of each feature apart, and has their variance.

    Of seconds since 1970 it tells those in two minutes, and ids near 1e8 it rounds to
    multiples of 8.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = features.astype(np.float32)
        lost = np.abs(rounded - features).max(axis=0)
        deviation = features.std(axis=0)
        is_constant = features.max(axis=0) == features.min(axis=0)
        fits = (is_constant & np.isfinite(rounded).all(axis=0)) | (
            (deviation > _SMALLEST_DEVIATION)
            & (deviation < _LARGEST_DEVIATION)
            & (lost < _LOST * deviation)
        )
    return bool(fits.all())


def check_variance(
    features: np.ndarray, variance: np.ndarray, name: Callable[[int], str]
) -> None:
    """Refuses features whose variance float64 does not hold; `name` gives theirs.

    Raises:
      DataError: it names the feature and its values.
    """
    varies = features.min(axis=0) < features.max(axis=0)
    known = np.isfinite(variance) & ((variance >= _SMALLEST_VARIANCE) | ~varies)
    for place in np.flatnonzero(~known)[:1]:
        low, high = features[:, place].min(), features[:, place].max()
        raise DataError(
            f"{name(place)}, must have a variance that float64 holds, got values from "
            f"{low:g} to {high:g}; give it in another unit"
        )


def files_of(path: str, kind: str) -> dict[str, str]:
    """The file of each whole split."""
    try:
        is_folder = tf.io.gfile.stat(path).is_directory
    except tf.errors.OpError as error:
        raise DataError(
            f"data.dataset must name a file or a folder after '{kind}:', got {path!r}: "
            f"{reason(error)}; {places.path_hint(path)}"
        ) from error
    if not is_folder:
        return {"train": path}
    names = [name for name in tf.io.gfile.listdir(path) if name.endswith(f".{kind}")]
    if not names:
        raise DataError(
            f"{path} must hold a .{kind} file a split, such as train.{kind}, got none; "
            "data.dataset names the file or its folder"
        )
    return {name.removesuffix(f".{kind}"): os.path.join(path, name) for name in names}


def mixed_order(num_rows: int) -> np.ndarray:
    """Rows by a hash of their number, so that any stretch is a fair sample: int64 [M].

    The hash is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    x = np.arange(1, num_rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(x ^ (x >> np.uint64(31)))


def _align(table: Table, first: Table) -> Table:
    """The table with the features in the order of the first one."""
    for what, ours, theirs in (
        ("features", set(table.feature_names), set(first.feature_names)),
        ("classes", set(table.labels), set(first.labels)),
    ):
        if ours != theirs:
            raise DataError(
                f"{table.path} must have the {what} of {first.path}, got "
                f"{_names(ours - theirs)} only in the one and {_names(theirs - ours)} "
                "only in the other; mend one of them"
            )
    places = [table.feature_names.index(name) for name in first.feature_names]
    return dataclasses.replace(
        table,
        feature_names=first.feature_names,
        features=table.features[:, places],
    )


def _names(names: set[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"


def _whole(tables: Mapping[str, Table]) -> splits.Whole:
    return splits.whole({name: len(table) for name, table in tables.items()})
