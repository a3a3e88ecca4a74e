"""Examples in record files, read as they are needed.

An epoch permutes the stretches of files that the split is made of; the records of the
permuted stretches, one after the other, are cut into windows, and each window's records
are permuted. So files are read from front to back, and the order is still a pure
function of (seed, epoch). Every pipeline reads all raw records and decodes its own.

Shapes: S = stretches of files, R = records of the split, M = examples of the set (the
records without those that are not selected), B = examples of one step on one replica.
"""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Protocol

import numpy as np
import tensorflow as tf

from trainer import noise
from trainer.data.examples import Batch, DataError, Share, num_evaluation_steps
from trainer.data.order import permuted

_BATCHES_IN_THE_MAKING = 4  # augmented while a step runs
_READ_BUFFER_BYTES = 2**20  # of a file
_READ_BATCH = 1024  # labels parsed at a time


class RecordFormat(Protocol):
    """How the records of a split are understood, and its errors worded."""

    def decode(self, record: tf.Tensor) -> Batch:
        """A raw record to {"input": [...], "label": an integer}, of static shapes."""

    def decode_label(self, record: tf.Tensor) -> tf.Tensor:
        """The label alone, at the price of no image."""

    def check_labels(self, labels: np.ndarray) -> None:
        """Refuses labels outside the classes with a DataError."""

    def damaged(self, error: Exception) -> DataError:
        """What to raise when reading ends in `error`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordFiles:
    """The TFRecord files of a split, in the order of its records."""

    paths: tuple[str, ...]  # [S]
    skips: np.ndarray  # int64 [S]: records of the file before the stretch
    takes: np.ndarray  # int64 [S]: records of the stretch
    ids: np.ndarray  # int64 [R]
    format: RecordFormat

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The classes, int32 [R], from one pass over all files at the first use.

        Raises:
          DataError: a file is damaged, or a label is outside the classes.
        """
        whole = _Reader(self, np.arange(len(self.ids)))
        labels = whole.in_order().map(
            lambda row, record: self.format.decode_label(record),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        try:
            found = np.concatenate(
                list(labels.batch(_READ_BATCH).prefetch(1).as_numpy_iterator())
            )
        except tf.errors.OpError as error:
            raise self.format.damaged(error) from error
        self.format.check_labels(found)
        return found.astype(np.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordExamples:
    """Examples in record files; see trainer.data.examples.Examples.

    A training pipeline holds at most three windows of raw records (one being read, of
    the two before only its own records), and the few batches in the making and ready.
    """

    files: RecordFiles
    rows: np.ndarray  # int64 [M], ascending: which records of the split
    window: int  # records shuffled together

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> np.ndarray:
        """The classes: int32 [M]; the first use reads all files once.

        Raises:
          DataError: a file is damaged, or a label is outside the classes.
        """
        labels: np.ndarray = self.files.labels[self.rows]
        return labels

    @property
    def ids(self) -> np.ndarray:
        """Positions in the whole split: int64 [M]."""
        ids: np.ndarray = self.files.ids[self.rows]
        return ids

    def select(self, kept: np.ndarray) -> "RecordExamples":
        """The examples where bool [M] is true, in their order."""
        return dataclasses.replace(self, rows=self.rows[kept])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The inputs of some examples, in the order of `rows`: [K] -> [K, ...].

        Raises:
          DataError: a file is damaged.
        """
        wanted, places = np.unique(rows, return_inverse=True)
        decoded = _Reader(self.files, self.rows[wanted]).in_order().map(self._input)
        spec = decoded.element_spec
        inputs = np.empty((len(wanted), *spec.shape), spec.dtype.as_numpy_dtype)
        try:
            for i, value in enumerate(decoded.as_numpy_iterator()):
                inputs[i] = value
        except tf.errors.OpError as error:
            raise self.files.format.damaged(error) from error
        selected: np.ndarray = inputs[places]
        return selected

    def training(
        self,
        share: Share,
        *,
        seed: int,
        first_step: int,
        finish: Callable[[Batch], Batch],
    ) -> tf.data.Dataset:
        """Endless batches; windows before the one of `first_step` are not read.

        Of the file in which that window starts, the headers of the records before it
        are read too, and the file system skips the rest.
        """
        first = first_step * share.global_batch_size
        ids = _on_host(self.files.ids)

        def decoded(raw: Batch) -> Batch:
            example = self.files.format.decode(raw["record"])
            return {
                "input": example["input"],
                "label": tf.cast(example["label"], tf.int32),
                "id": tf.gather(ids, raw["row"]),
                "slot": tf.cast(raw["position"] % share.global_batch_size, tf.int32),
                "epoch": raw["position"] // len(self),
            }

        reader = _Reader(self.files, self.rows)
        windows = tf.data.Dataset.counter(first // len(self), dtype=tf.int64).flat_map(
            lambda epoch: self._windows(reader, share, epoch, seed=seed, first=first)
        )
        examples = _parallel(windows.prefetch(1).unbatch(), decoded)
        batches = examples.batch(share.per_replica_batch_size, drop_remainder=True)
        return batches.map(
            finish, num_parallel_calls=_BATCHES_IN_THE_MAKING, deterministic=True
        )

    def evaluation(self, share: Share) -> tf.data.Dataset:
        """Batches in order; the last step is filled up with copies of row 0."""
        reader = _Reader(self.files, self.rows)
        end = num_evaluation_steps(len(self), share) * share.global_batch_size
        copies = (
            reader.in_order()
            .take(1)
            .flat_map(lambda *first: tf.data.Dataset.from_tensors(first).repeat())
        )
        filling = tf.data.Dataset.zip(tf.data.Dataset.range(len(self), end), copies)
        shown = reader.in_order().enumerate().concatenate(filling)

        def decoded(place: tf.Tensor, raw: tuple[tf.Tensor, tf.Tensor]) -> Batch:
            weight = tf.cast(place < len(self), tf.float32)
            return {"input": self._input(*raw), "weight": weight}

        own = shown.filter(lambda place, raw: _is_of(share, place))
        return _parallel(own, decoded).batch(
            share.per_replica_batch_size, drop_remainder=True
        )

    def _input(self, row: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
        del row
        return self.files.format.decode(record)["input"]

    def _windows(
        self,
        reader: "_Reader",
        share: Share,
        epoch: tf.Tensor,
        *,
        seed: int,
        first: int,
    ) -> tf.data.Dataset:
        """The windows of an epoch from position `first` on, each of own records."""
        epoch_of_first, place_of_first = divmod(first, len(self))
        starts_here = tf.cast(epoch == epoch_of_first, tf.int64)
        first_window = place_of_first // self.window * starts_here

        def own(window: tf.Tensor, raw: tuple[tf.Tensor, tf.Tensor]) -> Batch:
            rows, records = raw
            places = tf.range(tf.size(rows, tf.int64))
            positions = epoch * len(self) + window * self.window + places
            mine = _is_of(share, positions) & (positions >= first)
            key = noise.key(seed, epoch, window)
            shuffled = _permutation(places, key)[mine]
            return {
                "row": tf.gather(rows, shuffled),
                "record": tf.gather(records, shuffled),
                "position": positions[mine],
            }

        records = reader.in_order(
            _permutation(tf.range(reader.num_stretches), noise.key(seed, epoch)),
            num_skipped=first_window * self.window,
        )
        numbers = tf.data.Dataset.counter(first_window, dtype=tf.int64)
        return tf.data.Dataset.zip(numbers, records.batch(self.window)).map(own)


class _Reader:
    """Reads the raw records of `rows` (int64 [M], ascending) of a split."""

    def __init__(self, files: RecordFiles, rows: np.ndarray) -> None:
        self.num_stretches = len(files.paths)
        first_rows = np.cumsum([0, *files.takes])
        kept = np.zeros(len(files.ids), bool)
        kept[rows] = True
        self._paths = _on_host(np.array(files.paths))
        self._rows, self._kept = _on_host(rows), _on_host(kept)
        # Row r of a stretch is record r + offset of its file.
        self._offsets = _on_host(files.skips - first_rows[:-1])
        self._bounds = _on_host(np.searchsorted(rows, first_rows))

    def in_order(
        self, order: tf.Tensor | None = None, *, num_skipped: tf.Tensor | int = 0
    ) -> tf.data.Dataset:
        """Elements (row, record) of the stretches in `order`: a permutation, [S].

        The first `num_skipped` elements are left out, and hardly read.
        """
        if order is None:
            order = tf.range(self.num_stretches)
        begins = tf.gather(self._bounds[:-1], order)
        ends = tf.gather(self._bounds[1:], order)
        before = tf.cumsum(ends - begins, exclusive=True)
        begins += tf.clip_by_value(num_skipped - before, 0, ends - begins)
        left = begins < ends
        stretches = (order[left], begins[left], ends[left])
        return tf.data.Dataset.from_tensor_slices(stretches).flat_map(self._stretch)

    def _stretch(
        self, stretch: tf.Tensor, begin: tf.Tensor, end: tf.Tensor
    ) -> tf.data.Dataset:
        """Elements (row, record) of self._rows[begin:end], which are of one stretch."""
        first, last = self._rows[begin], self._rows[end - 1] + 1
        records = tf.data.TFRecordDataset(
            self._paths[stretch], buffer_size=_READ_BUFFER_BYTES
        )
        # A file that is too short must not make all later records move up.
        exact = (
            records.skip(first + self._offsets[stretch])
            .take(last - first)
            .apply(tf.data.experimental.assert_cardinality(last - first))
        )
        numbered = tf.data.Dataset.zip(tf.data.Dataset.range(first, last), exact)
        return numbered.filter(lambda row, record: self._kept[row])


def _is_of(share: Share, positions: tf.Tensor) -> tf.Tensor:
    """Whether a pipeline makes the examples at `positions` of the endless sequence."""
    slots = positions % share.global_batch_size
    replicas = slots // share.per_replica_batch_size - share.first_replica
    return (replicas >= 0) & (replicas < share.local_replicas)


def _permutation(indices: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """All of 0, 1, 2, ... in the order of one key."""
    count = tf.size(indices)
    largest = tf.fill([count], tf.cast(count - 1, indices.dtype))
    return permuted(indices, tf.fill([count], key), largest=largest)


def _parallel(raw: tf.data.Dataset, decoded: Callable[..., Batch]) -> tf.data.Dataset:
    return raw.map(decoded, num_parallel_calls=os.cpu_count() or 1, deterministic=True)


def _on_host(array: np.ndarray) -> tf.Tensor:
    # Where the records are read.
    with tf.device("/cpu:0"):
        return tf.constant(array)
