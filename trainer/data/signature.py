"""The size of a file, and when it was written."""

import os
from typing import NamedTuple

import tensorflow as tf


class Signature(NamedTuple):
    """The size and the time of a file, which change when somebody writes it."""

    num_bytes: int
    changed_nsec: int  # by the clock of whoever keeps the file


def signature(path: str) -> Signature:
    """Reads the signature of the file at `path`, on a disk or in a store.

    Raises:
      tf.errors.OpError: there is none, or it cannot be told.
    """
    if "://" in path:
        found = tf.io.gfile.stat(path)
        return Signature(found.length, found.mtime_nsec)
    # TensorFlow takes 15 times as long, and gives the time in whole seconds.
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: of a name that none can have
        raise as_op_error(path, error) from error
    return Signature(status.st_size, status.st_mtime_ns)


def as_op_error(path: str, error: OSError | ValueError) -> tf.errors.OpError:
    """The error that TensorFlow has for one of the system's."""
    is_gone = isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
    kind = tf.errors.NotFoundError if is_gone else tf.errors.UnknownError
    return kind(None, None, f"{path}; {getattr(error, 'strerror', None) or error}")
