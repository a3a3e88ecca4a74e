"""Summaries of a dataset's files, by which a run knows them again."""

import hashlib
from collections.abc import Iterable

import tensorflow as tf

from trainer.data.decode import reason
from trainer.data.examples import DataError

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
    try:
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
    except tf.errors.OpError as error:
        raise DataError(
            f"the files of the dataset must be readable, got an error: {reason(error)}"
            "; mend them"
        ) from error
    told = ", compared by both ends of each" if total > _READ_BYTES else ""
    return f"{len(paths)} files of {total} bytes, SHA-256 {digest.hexdigest()}{told}"
