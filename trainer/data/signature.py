"""The size of a file, and when it was written."""

import contextlib
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
    found = tf.io.gfile.stat(path)
    # TensorFlow gives the time of a disk's file in whole seconds only.
    with contextlib.suppress(OSError):
        return Signature(found.length, os.stat(path).st_mtime_ns)
    return Signature(found.length, found.mtime_nsec)
