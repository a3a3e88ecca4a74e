"""Tensors laid end to end in one vector, so that one operation reaches all of them."""

import itertools
import math
from collections.abc import Sequence

import tensorflow as tf


def joined(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """All numbers of the tensors in their order: float32 [P]."""
    return tf.concat([tf.reshape(tf.cast(t, tf.float32), [-1]) for t in tensors], 0)


def parts(vector: tf.Tensor, shapes: Sequence[tuple[int, ...]]) -> list[tf.Tensor]:
    """The tensors of these shapes that lie in the vector [P], whose sizes sum to P."""
    sizes = [math.prod(shape) for shape in shapes]
    firsts = itertools.accumulate(sizes, initial=0)
    # Slices, of which TensorFlow copies none that begins at a multiple of 64 bytes; a
    # split copies all.
    return [
        tf.reshape(tf.slice(vector, [first], [size]), shape)
        for first, size, shape in zip(firsts, sizes, shapes, strict=False)
    ]
