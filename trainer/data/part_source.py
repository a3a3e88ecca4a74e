"""Datasets of parts whose examples stay in their order: in memory, or streamed."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.config import DataConfig
from trainer.data import splits
from trainer.data.arrays import ArrayExamples
from trainer.data.description import describe
from trainer.data.examples import DataError, Examples
from trainer.data.given_form import Form
from trainer.data.host_memory import empty
from trainer.data.parts import ArrayPart, RecordPart
from trainer.data.records import RecordExamples
from trainer.data.tables import check_variance, mixed_order


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartSource:
    """An opened dataset of parts; see trainer.data.source.Source.

    Parts are Python objects, or record files. An id is the number of an example in its
    part. Stretches of a part are of a fixed mixed order, as it may have its classes one
    after another.
    """

    data: DataConfig
    form: Form
    held: Mapping[str, ArrayPart | RecordPart]
    class_names: tuple[str, ...]
    num_transparent: int = 0  # of images in memory nobody knows any more

    @property
    def is_streamed(self) -> bool:
        """Whether they are too many to be kept in memory."""
        return any(isinstance(part, RecordPart) for part in self.held.values())

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.form.shape

    @property
    def input_dtype(self) -> str:
        """The type of an example: "uint8" or "float32", of rows also "float64"."""
        return str(self.form.dtype)

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The smallest and the largest value; None of 8 bits and of rows."""
        if self.form.is_row or self.form.dtype == np.uint8:
            return None
        ends = [part.value_range for part in self.held.values()]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @functools.cached_property
    def mean_and_variance(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Each feature's mean and variance over the training split, of rows."""
        if not self.form.is_row:
            return None
        examples = self.read(self.data.train_split)
        features = examples.read(np.arange(len(examples)))
        mean, variance = (
            f(axis=0, dtype=np.float64) for f in (features.mean, features.var)
        )
        if features.dtype == np.float64:
            check_variance(
                features, variance, lambda i: f"feature {i} of {self.data.dataset!r}"
            )
        return mean.astype(features.dtype), variance.astype(features.dtype)

    @property
    def num_bytes(self) -> int:
        """The size of the examples of the config's splits."""
        return sum(self._num_examples) * self.form.num_bytes

    @property
    def _num_examples(self) -> tuple[int, ...]:
        return tuple(
            len(splits.example_ids(self.whole_splits, split))
            for split in self.data.splits.values()
        )

    @property
    def description(self) -> str:
        """One line on what was opened."""
        parts = list(self.held.values())
        unseen = [
            name
            for name, count in zip(self.class_names, self._counts, strict=True)
            if not count
        ]
        notes = list(self.form.notes)
        notes += {part.compared for part in parts} - {""}
        if unseen:
            notes.append(f"no example of class {', '.join(unseen[:5])}")
        return describe(
            self.data,
            num_examples=self._num_examples,
            num_classes=len(self.class_names),
            input_shape=self.input_shape,
            num_bytes=self.num_bytes,
            pipeline=parts[0].where,
            notes=notes,
        )

    @property
    def _counts(self) -> np.ndarray:
        """The number of examples of each class: int64 [C]."""
        length = len(self.class_names)
        counts = np.zeros(length, np.int64)
        for part in self.held.values():
            counts[: len(part.label_counts)] += part.label_counts
        return counts

    @property
    def whole_splits(self) -> splits.Whole:
        """The parts, and how many examples each has."""
        return splits.whole({name: len(part) for name, part in self.held.items()})

    @property
    def contents(self) -> Mapping[str, str]:
        """A summary of each part, which a run keeps to know it again."""
        return {name: part.contents for name, part in self.held.items()}

    def fingerprint(self, split: str, *, num_ids: int) -> str:
        """SHA-256 of what a run keeps of a part, which does not change."""
        told = repr((self.held[split].contents, num_ids))
        return hashlib.sha256(told.encode()).hexdigest()

    def read(self, split: str) -> Examples:
        """The examples of `split`, in the order of their parts.

        Raises:
          DataError: a record file is damaged.
        """
        chosen = [
            (self.held[name], np.sort(mixed_order(len(self.held[name]))[first:last]))
            for name, first, last in splits.parts_of(self.whole_splits, split)
        ]
        arrays = [(part, rows) for part, rows in chosen if isinstance(part, ArrayPart)]
        if not arrays:
            return self._stream(
                [(part, rows) for part, rows in chosen if isinstance(part, RecordPart)]
            )
        (first_part, first_rows), *others = arrays
        if not others and len(first_rows) == len(first_part):
            return ArrayExamples(
                inputs=first_part.inputs, labels=first_part.labels, ids=first_rows
            )
        ids = np.concatenate([rows for _, rows in arrays])
        inputs = empty((len(ids), *self.input_shape), self.form.dtype)
        np.concatenate([part.inputs[rows] for part, rows in arrays], out=inputs)
        labels = np.concatenate([part.labels[rows] for part, rows in arrays])
        return ArrayExamples(inputs=inputs, labels=labels, ids=ids)

    def _stream(
        self, chosen: Sequence[tuple[RecordPart, np.ndarray]]
    ) -> RecordExamples:
        parts = [
            part.files(self.form, num_classes=len(self.class_names))
            for part, _ in chosen
        ]
        firsts = np.cumsum([0, *(len(part.ids) for part in parts)])
        joined = dataclasses.replace(
            parts[0],
            paths=tuple(path for part in parts for path in part.paths),
            skips=np.concatenate([part.skips for part in parts]),
            takes=np.concatenate([part.takes for part in parts]),
            ids=np.concatenate([part.ids for part in parts]),
            identity=repr([part.contents for part, _ in chosen]),
            record_bytes=sum(part.record_bytes * len(part.ids) for part in parts)
            / firsts[-1],
        )
        rows = [rows + first for (_, rows), first in zip(chosen, firsts, strict=False)]
        return RecordExamples(
            files=joined,
            rows=np.concatenate(rows),
            window=self.data.shuffle_window,
            num_threads=self.data.num_threads,
        )


def rows_too_large(data: DataConfig, num_bytes: int) -> DataError:
    """The error to raise where rows, which have to be in memory, take `num_bytes`."""
    return DataError(
        f"data.memory_budget_bytes must cover the rows of data.dataset "
        f"{data.dataset!r}, {num_bytes} bytes, got {data.memory_budget_bytes}; raise "
        "it, or take fewer"
    )


def numbered_classes(
    data: DataConfig, held: Mapping[str, ArrayPart | RecordPart], told: int = 0
) -> tuple[str, ...]:
    """The names of classes that nobody named: "0" and so on to the largest label.

    Or of as many as are `told`.

    Raises:
      DataError: most of them have no example, as where labels are numbers of another
        kind.
    """
    if told:
        return tuple(map(str, range(told)))
    labels = set().union(*(np.flatnonzero(x.label_counts) for x in held.values()))
    count = int(max(labels)) + 1
    if count > 2 * len(labels):
        raise DataError(
            f"labels of data.dataset {data.dataset!r} must number its classes from 0 "
            f"on, got {len(labels)} of them, up to {count - 1}; number them so, or "
            "tell how many there are, by class_names or data.options.num_classes"
        )
    return tuple(map(str, range(count)))
