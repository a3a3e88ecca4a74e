"""Summaries of a dataset's files, by which a run knows them again."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence

import tensorflow as tf

from trainer.data.decode import reason
from trainer.data.examples import DataError
from trainer.data.readers import for_each
from trainer.data.signature import signature

_READ_BYTES = 2**30  # of all files; of more both ends of each are read
_END_BYTES = 2**20
_BLOCK_BYTES = 2**24


def summarise(paths: Iterable[str]) -> str:
    """Number, size and SHA-256 of files, in this order; it says what is not read.

    Raises:
      DataError: one cannot be read.
    """
    paths = list(paths)
    digest, total = hashlib.sha256(), 0
    with _readable():
        sizes = [tf.io.gfile.stat(path).length for path in paths]
        total = sum(sizes)
        for path, size in zip(paths, sizes, strict=True):
            digest.update(f"{size} ".encode())
            with tf.io.gfile.GFile(path, "rb") as file:
                if total > _READ_BYTES:
                    digest.update(file.read(_END_BYTES))
                    file.seek(max(0, size - _END_BYTES))
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
    told = ", compared by both ends of each" if total > _READ_BYTES else ""
    return f"{len(paths)} files of {total} bytes, SHA-256 {digest.hexdigest()}{told}"


def written(paths: Sequence[str]) -> str:
    """SHA-256 of the names, sizes and times of files, in this order.

    Raises:
      DataError: one cannot be read.
    """
    with _readable():
        found = for_each(signature, paths, title="looking at files")
    told = [(os.path.basename(path), *x) for path, x in zip(paths, found, strict=True)]
    return hashlib.sha256(repr(told).encode()).hexdigest()


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except tf.errors.OpError as error:
        raise DataError(
            f"the files of the dataset must be readable, got an error: {reason(error)}"
            "; mend them"
        ) from error
