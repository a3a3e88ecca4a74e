"""Features of both models before they are compared.

Shapes: B = examples, C = channels, which come last. The axes between are places:
[B, H, W, C] for a map, [B, T, C] for a sequence, none for a vector [B, C].
"""

import numpy as np
import tensorflow as tf


def to_float32(student: tf.Tensor, teacher: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Both in float32, the teacher's without a gradient."""
    return tf.cast(student, tf.float32), tf.cast(tf.stop_gradient(teacher), tf.float32)


def mean_by_example(values: tf.Tensor) -> tf.Tensor:
    """The mean over all axes but the first: [B, ...] -> [B]."""
    return tf.reduce_mean(values, axis=list(range(1, values.shape.rank)))


def average_places(features: tf.Tensor) -> tf.Tensor:
    """The mean over all places: [B, ..., C] -> float32 [B, C]; a vector stays."""
    features = tf.cast(features, tf.float32)
    return tf.reduce_mean(features, axis=list(range(1, features.shape.rank - 1)))


def match_places(student: tf.Tensor, teacher: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Average-pools to the smaller number of places along each of the axes: float32.

    Both have the same number of axes. Place i of h out of H is the mean from
    floor(i H / h) up to ceil((i + 1) H / h), as in adaptive average pooling.
    """
    pair = [tf.cast(features, tf.float32) for features in (student, teacher)]
    for axis in range(1, student.shape.rank - 1):
        size = min(features.shape[axis] for features in pair)
        pair = [_pool(features, axis=axis, size=size) for features in pair]
    return pair[0], pair[1]


def _pool(features: tf.Tensor, *, axis: int, size: int) -> tf.Tensor:
    if features.shape[axis] == size:
        return features
    axes = "abcdefgh"[: features.shape.rank]
    pooled = axes.replace(axes[axis], "p")
    bins = tf.constant(_bins(features.shape[axis], size), tf.float32)
    return tf.einsum(f"{axes},p{axes[axis]}->{pooled}", features, bins)


def _bins(large: int, small: int) -> np.ndarray:
    """The share of each of `large` places in each of `small`: [small, large]."""
    place, i = np.arange(large), np.arange(small)[:, np.newaxis]
    inside = (place >= i * large // small) & (place < -(-(i + 1) * large // small))
    bins: np.ndarray = inside / inside.sum(axis=1, keepdims=True)
    return bins
