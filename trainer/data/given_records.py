"""Record files of a part of a dataset that is too large for memory, written once.

A file holds as many examples as make 64 MiB; beside them a JSON file says which are
there, so that a writing that ended in between is gone on with. M = examples.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath

from trainer import console
from trainer.data.decode import reason
from trainer.data.examples import Batch, DataError
from trainer.data.given_form import Form
from trainer.data.record_files import RecordFiles
from trainer.storage import files, seal

_FILE_BYTES = 2**26
_LABEL_BYTES = 8

# Inputs [K, ...] and labels [K] of the examples from a number on.
Rows = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """The record files of a part."""

    identity: str  # of the examples in it
    counts: tuple[int, ...] = ()  # examples in each file
    num_bytes: tuple[int, ...] = ()  # of each file
    low: float = 0.0  # the smallest value of all inputs
    high: float = 0.0
    labels: tuple[int, ...] = ()  # examples of each class
    is_whole: bool = False

    def with_file(
        self, inputs: np.ndarray, labels: np.ndarray, num_bytes: int
    ) -> "Written":
        """And a further file of these examples."""
        low, high = float(inputs.min()), float(inputs.max())
        if self.counts:
            low, high = min(low, self.low), max(high, self.high)
        length = max(len(self.labels), int(labels.max()) + 1)
        total = np.bincount(labels, minlength=length)
        total[: len(self.labels)] += np.array(self.labels, np.int64)
        return dataclasses.replace(
            self,
            counts=(*self.counts, len(labels)),
            num_bytes=(*self.num_bytes, num_bytes),
            low=low,
            high=high,
            labels=tuple(total.tolist()),
        )


def write(
    folder: epath.Path, name: str, rows: Rows, *, form: Form, begun: Written
) -> Written:
    """Writes the part `name` into `folder`, from what is there on.

    Raises:
      StorageError: the folder cannot be written.
    """
    console.log(f"writing {name} to {folder}, once: it is larger than memory may be")
    in_file = max(1, _FILE_BYTES // form.num_bytes)
    ones = _ones(rows)
    next(itertools.islice(ones, sum(begun.counts), sum(begun.counts)), None)
    while block := list(itertools.islice(ones, in_file)):
        path = _file(folder, name, len(begun.counts))
        with (
            files.atomic_path(path) as temporary,
            tf.io.TFRecordWriter(str(temporary)) as writer,
        ):
            for x, y in block:
                writer.write(np.array([y], "<i8").tobytes() + _little(x).tobytes())
        inputs = np.stack([x for x, _ in block])
        labels = np.array([y for _, y in block])
        begun = begun.with_file(inputs, labels, files.num_bytes(path))
        _keep(folder, name, begun)
    begun = dataclasses.replace(begun, is_whole=True)
    _keep(folder, name, begun)
    return begun


def read_kept(folder: epath.Path, name: str) -> Written | None:
    """The record files of the part `name`; None where there are none, or not all."""
    path = _manifest(folder, name)
    try:
        if not files.exists(path):
            return None
        with files.wrap_read_errors(path):
            found = seal.parse(path.read_bytes())
        written = Written(
            identity=str(found["identity"]),
            counts=tuple(map(int, found["counts"])),
            num_bytes=tuple(map(int, found["num_bytes"])),
            low=float(found["low"]),
            high=float(found["high"]),
            labels=tuple(map(int, found["labels"])),
            is_whole=bool(found["is_whole"]),
        )
    except (ValueError, TypeError, KeyError):
        return None  # damaged: it is written anew
    for i, num_bytes in enumerate(written.num_bytes):
        file = _file(folder, name, i)
        if not files.exists(file) or files.num_bytes(file) != num_bytes:
            return None
    return written


def record_files(
    folder: epath.Path, name: str, written: Written, form: Form, num_classes: int
) -> RecordFiles:
    """The files of a part that is written, as they are streamed."""
    paths = [str(_file(folder, name, i)) for i in range(len(written.counts))]
    described = _Format(
        folder=str(folder),
        name=name,
        shape=form.shape,
        dtype=form.dtype,
        num_classes=num_classes,
    )
    size = sum(written.num_bytes)
    return RecordFiles.whole(paths, written.counts, described, num_bytes=size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Format:
    """Records of our own; see trainer.data.record_files.RecordFormat.

    A label, int64, and the values of an input, the lowest byte of each first.
    """

    folder: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    num_classes: int

    encoded = None

    def decode(self, record: tf.Tensor) -> Batch:
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        values = tf.strings.substr(record, _LABEL_BYTES, size)
        inputs = tf.io.decode_raw(values, tf.as_dtype(self.dtype), fixed_length=size)
        label = self.decode_labels(record[tf.newaxis])[0]
        return {"input": tf.reshape(inputs, self.shape), "label": label}

    def decode_labels(self, records: tf.Tensor) -> tf.Tensor:
        numbers = tf.strings.substr(records, 0, _LABEL_BYTES)
        return tf.io.decode_raw(numbers, tf.int64, fixed_length=_LABEL_BYTES)[:, 0]

    def check_labels(self, labels: np.ndarray) -> None:
        if ((labels < 0) | (labels >= self.num_classes)).any():
            raise self.damage_error(ValueError("a label of no class"))

    def damage_error(self, error: Exception) -> DataError:
        return DataError(
            f"the record files of {self.name} in {self.folder} are damaged: "
            f"{reason(error)}; delete that folder and start again, which writes them "
            "anew"
        )


def sample_identity(form: Form, most: int, rows: Rows) -> str:
    """SHA-256 of the form, the number and some of the examples of a part."""
    digest = hashlib.sha256(repr((form.shape, str(form.dtype), most)).encode())
    for inputs, labels in rows:
        digest.update(_little(inputs).tobytes())
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


def _ones(rows: Rows) -> Iterator[tuple[np.ndarray, Any]]:
    for inputs, labels in rows:
        yield from zip(inputs, labels, strict=True)


def _little(values: np.ndarray) -> np.ndarray:
    """The values with the lowest byte of each first."""
    return values.astype(values.dtype.newbyteorder("<"), copy=False)


def _keep(folder: epath.Path, name: str, written: Written) -> None:
    said = dataclasses.asdict(written)
    files.write_json(_manifest(folder, name), seal.add_checksum(said))


def _manifest(folder: epath.Path, name: str) -> epath.Path:
    return folder / f"{name}.json"


def _file(folder: epath.Path, name: str, number: int) -> epath.Path:
    return folder / f"{name}-{number:05d}.tfrecord"
