"""Arrays that NumPy fills and TensorFlow reads, so that a set is in memory once."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

_ALIGNMENT = 64  # bytes, where vector instructions read without a check


def empty(shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """An array to be filled, whose memory `on_host` can share."""
    num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(num_bytes + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first : first + num_bytes].view(dtype).reshape(shape)


def shareable(array: np.ndarray) -> np.ndarray:
    """The array, or a copy of it whose memory `on_host` can share."""
    if _is_shareable(array):
        return array
    copy = empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def on_host(array: np.ndarray) -> tf.Tensor:
    """A constant of the input pipeline; the array must not be written any more."""
    # Where the batches are made; elsewhere a whole dataset would fill a GPU's memory.
    with tf.device("/cpu:0"):
        if _is_shareable(array):
            return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
        return tf.constant(array)


def _is_shareable(array: np.ndarray) -> bool:
    is_aligned = array.ctypes.data % _ALIGNMENT == 0
    return is_aligned and array.flags.carray and array.dtype.kind in "uif"
