"""The records of a split in its TFRecord files, and reading them in any file order.

Shapes: S = stretches of files, R = records of the split, M = records that are read.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from trainer.data.encoded_images import EncodedImages
from trainer.data.examples import Batch, DataError
from trainer.data.host_memory import on_host
from trainer.data.kept_labels import KeptLabels

_READ_BUFFER_BYTES = 2**20  # of a file
_READ_BATCH = 1024  # labels handed over at a time


# From consecutive ids, the first and one past the last, to their auxiliary features.
OfIds = Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset]


class RecordFormat(Protocol):
    """Decodes the records of a split, and words its errors."""

    @property
    def encoded(self) -> EncodedImages | None:
        """The reading of images that have to be resized; None where none has to."""

    def decode(self, record: tf.Tensor) -> Batch:
        """A raw record to {"input": [...], "label": an integer}, of static shapes."""

    def decode_labels(self, records: tf.Tensor) -> tf.Tensor:
        """The labels alone, at the price of no image: string [K] -> integer [K]."""

    def check_labels(self, labels: np.ndarray) -> None:
        """Refuses labels outside the classes with a DataError."""

    def damage_error(self, error: Exception) -> DataError:
        """The error to raise when reading ends in `error`."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RecordFiles:
    """The TFRecord files of a split, in the order of its records."""

    paths: tuple[str, ...]  # [S]
    skips: np.ndarray  # int64 [S]: records of the file before the stretch
    takes: np.ndarray  # int64 [S]: records of the stretch
    ids: np.ndarray  # int64 [R]
    format: RecordFormat
    identity: str = ""  # of the set that they are of, which reads no record
    record_bytes: float = 0.0  # of a record, in the mean of all; 0: it is not known
    kept_labels: KeptLabels | None = None

    @classmethod
    def whole(
        cls,
        paths: Sequence[str],
        counts: Sequence[int],
        form: RecordFormat,
        *,
        num_bytes: int = 0,
    ) -> "RecordFiles":
        """Files that are read whole, of so many records each and bytes together."""
        return cls(
            paths=tuple(paths),
            skips=np.zeros(len(paths), np.int64),
            takes=np.array(counts, np.int64),
            ids=np.arange(sum(counts)),
            format=form,
            record_bytes=num_bytes / max(1, sum(counts)),
        )

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of what tells these records from others, without reading one."""
        told = (self.identity, self.skips.tolist(), self.takes.tolist())
        digest = hashlib.sha256(repr(told).encode())
        digest.update(np.ascontiguousarray(self.ids).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The classes, int32 [R], as they are kept, or from one pass over all files.

        Raises:
          DataError: a file is damaged, or a label is outside the classes.
        """
        if self.kept_labels is None:
            return self._read_labels()
        labels = self.kept_labels.read(self.digest)
        if labels is None or len(labels) != len(self.ids):
            labels = self._read_labels()
            self.kept_labels.write(self.digest, labels)
        return labels

    def _read_labels(self) -> np.ndarray:
        records = Reader(self, np.arange(len(self.ids))).in_order()
        labels = records.batch(_READ_BATCH).map(
            lambda rows, records: self.format.decode_labels(records)
        )
        try:
            found = np.concatenate(list(labels.prefetch(1).as_numpy_iterator()))
        except tf.errors.OpError as error:
            raise self.format.damage_error(error) from error
        self.format.check_labels(found)
        return found.astype(np.int32)


class Reader:
    """Reads the raw records of `rows` (int64 [M], ascending) of a split."""

    def __init__(self, files: RecordFiles, rows: np.ndarray) -> None:
        self.num_stretches = len(files.paths)
        first_rows = np.cumsum([0, *files.takes])
        kept = np.zeros(len(files.ids), bool)
        kept[rows] = True
        self._paths = on_host(np.array(files.paths))
        self._rows, self._kept = on_host(rows), on_host(kept)
        self._ids = on_host(files.ids)
        self._all_kept = bool(kept.all())
        # Row r of a stretch is record r + offset of its file.
        self._offsets = on_host(files.skips - first_rows[:-1])
        self._bounds = on_host(np.searchsorted(rows, first_rows))

    def in_order(
        self,
        order: tf.Tensor | None = None,
        *,
        begin: tf.Tensor | int = 0,
        end: tf.Tensor | None = None,
        auxiliary: OfIds | None = None,
    ) -> tf.data.Dataset:
        """Elements (row, record) of the stretches in `order`: a permutation, [S].

        Those before the element `begin` and from `end` on are left out, and hardly
        read. With `auxiliary` each has a third component, from the files that it reads.
        """
        if order is None:
            order = tf.range(self.num_stretches)
        firsts = tf.gather(self._bounds[:-1], order)
        counts = tf.gather(self._bounds[1:], order) - firsts
        before = tf.cumsum(counts, exclusive=True)
        begins = firsts + tf.clip_by_value(begin - before, 0, counts)
        ends = firsts + counts
        if end is not None:
            ends = firsts + tf.clip_by_value(end - before, 0, counts)
        left = begins < ends
        stretches = (order[left], begins[left], ends[left])
        return tf.data.Dataset.from_tensor_slices(stretches).flat_map(
            functools.partial(self._stretch, auxiliary=auxiliary)
        )

    def _stretch(
        self,
        stretch: tf.Tensor,
        begin: tf.Tensor,
        end: tf.Tensor,
        *,
        auxiliary: OfIds | None,
    ) -> tf.data.Dataset:
        """The elements of self._rows[begin:end], which are of one stretch."""
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
        columns = [tf.data.Dataset.range(first, last), exact]
        if auxiliary:
            # Within a stretch ids follow one another.
            columns.append(auxiliary(self._ids[first], self._ids[last - 1] + 1))
        numbered = tf.data.Dataset.zip(*columns)
        # Without a call for each record where none is left out: it takes longer than
        # the reading of a small image.
        if self._all_kept:
            return numbered
        return numbered.filter(lambda row, *_: self._kept[row])
