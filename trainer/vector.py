"""Tensors laid end to end in one vector, so that one operation reaches all of them."""

import math
from collections.abc import Sequence

import tensorflow as tf


def joined(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """All numbers of the tensors in their order: float32 [P]."""
    return tf.concat([tf.reshape(tf.cast(t, tf.float32), [-1]) for t in tensors], 0)


def parts(vector: tf.Tensor, shapes: Sequence[tuple[int, ...]]) -> list[tf.Tensor]:
    """The tensors of these shapes that lie in the vector [P], whose sizes sum to P."""
    sizes = [math.prod(shape) for shape in shapes]
    return [
        tf.reshape(part, shape)
        for part, shape in zip(tf.split(vector, sizes), shapes, strict=True)
    ]
