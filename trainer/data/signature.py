"""The size of a file, and when it was written."""

import contextlib
import os
from typing import NamedTuple

import tensorflow as tf


class Signature(NamedTuple):
    """What changes of a file while somebody writes it."""

    num_bytes: int
    changed_nsec: int  # by the clock of whoever keeps the file


def signature(path: str) -> Signature:
    """Of the file at `path`, on a disk or in a store.

    Raises:
      tf.errors.OpError: there is none, or it cannot be told.
    """
    found = tf.io.gfile.stat(path)
    # Of a disk's time TensorFlow gives whole seconds.
    with contextlib.suppress(OSError):
        return Signature(found.length, os.stat(path).st_mtime_ns)
    return Signature(found.length, found.mtime_nsec)
