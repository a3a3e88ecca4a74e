"""Directions of vectors and the angles between them, safe where there is no vector."""

from collections.abc import Sequence

import tensorflow as tf

# A difference below this share of the values' size is their rounding.
ROUNDING = 1e-6


def normalize(values: tf.Tensor, *, axis: int | Sequence[int]) -> tf.Tensor:
    """Divides float32 values by their L2 norm along the axes; all zeros stay so.

    Those have no gradient. The largest value is divided off first, which changes
    nothing but that no square is too large or too small for float32.
    """
    largest = tf.reduce_max(tf.abs(tf.stop_gradient(values)), axis=axis, keepdims=True)
    is_zero = tf.equal(largest, 0.0)
    scaled = values / tf.where(is_zero, 1.0, largest)
    square = tf.reduce_sum(tf.square(scaled), axis=axis, keepdims=True)
    return tf.where(is_zero, 0.0, scaled / tf.sqrt(tf.where(is_zero, 1.0, square)))


def cosines(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Cosines of all pairs: float32 [..., M, D], [..., N, D] -> [..., M, N].

    A vector of zeros has the cosine 0 with all others and itself, without a gradient.
    """
    units = (normalize(vectors, axis=-1) for vectors in (first, second))
    return tf.matmul(*units, transpose_b=True)
