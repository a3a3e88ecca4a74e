"""Tensors laid end to end in one vector, so that one operation reaches all of them."""

import itertools
import math
from collections.abc import Sequence

import tensorflow as tf


def flatten(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Concatenates the elements of all tensors in their order: float32 [P]."""
    return tf.concat([tf.reshape(tf.cast(t, tf.float32), [-1]) for t in tensors], 0)


def unflatten(vector: tf.Tensor, shapes: Sequence[tuple[int, ...]]) -> list[tf.Tensor]:
    """Splits the vector [P] into tensors of these shapes, whose sizes sum to P."""
    sizes = [math.prod(shape) for shape in shapes]
    firsts = itertools.accumulate(sizes, initial=0)
    # Slices, of which TensorFlow copies none that begins at a multiple of 64 bytes; a
    # split copies all.
    return [
        tf.reshape(tf.slice(vector, [first], [size]), shape)
        for first, size, shape in zip(firsts, sizes, shapes, strict=False)
    ]
