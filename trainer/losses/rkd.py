"""Relational distillation. Shapes: B = examples, D = values, G, N = of a group, groups.

D may differ between student and teacher.
"""

import tensorflow as tf

from trainer.losses.features import to_float32
from trainer.losses.groups import spread, to_groups
from trainer.losses.vectors import ROUNDING


def rkd_loss(
    student: tf.Tensor,
    teacher: tf.Tensor,
    *,
    distance_weight: float,
    angle_weight: float,
    group_size: int,
) -> tf.Tensor:
    """Differences of distances and angles in a group: [B, D], [B, D] -> [B].

    `distance_weight` times the mean over all G**2 pairs of Huber's loss between both
    models' distances, each divided by the mean of those of the group that are not 0,
    and `angle_weight` times the mean over all G**3 triples of that between the cosines
    of the angles, with delta 1. It is the same for all examples of a group of
    `group_size` neighbours (Park et al. 2019, Relational Knowledge Distillation,
    section 3.2, with the means of the authors' code, which count an example beside
    itself). B is a multiple of G. Embeddings that coincide have distance and cosines 0,
    without a gradient. None reaches the teacher.
    """
    ours, theirs = (
        _relations(to_groups(embeddings, group_size=group_size))
        for embeddings in to_float32(student, teacher)
    )
    distances, angles = (
        tf.reduce_mean(_huber(one - other), axis=list(range(1, one.shape.rank)))
        for one, other in zip(ours, theirs, strict=True)
    )
    by_group = distance_weight * distances + angle_weight * angles
    return spread(by_group, group_size=group_size)


def _relations(embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Relative distances and cosines of angles: [N, G, D] -> [N, G, G], [N, G, G, G].

    The cosines [n, j, i, k] are of the angles at j between i and k.
    """
    # Inner products would round short distances away.
    apart = embeddings[:, :, tf.newaxis] - embeddings[:, tf.newaxis]
    square = tf.reduce_sum(tf.square(apart), axis=-1)
    size = tf.reduce_sum(tf.square(embeddings), axis=-1)
    size = size[:, :, tf.newaxis] + size[:, tf.newaxis]
    differ = square > tf.stop_gradient(ROUNDING**2 * size)
    # A root has no gradient at 0.
    norm = tf.sqrt(tf.where(differ, square, 1.0))
    units = tf.where(differ[..., tf.newaxis], apart / norm[..., tf.newaxis], 0.0)
    distances = tf.where(differ, norm, 0.0)
    total = tf.reduce_sum(distances, axis=[1, 2], keepdims=True)
    count = tf.reduce_sum(tf.cast(differ, tf.float32), axis=[1, 2], keepdims=True)
    mean = tf.where(count > 0, total / tf.maximum(count, 1.0), 1.0)
    return distances / mean, tf.matmul(units, units, transpose_b=True)


def _huber(difference: tf.Tensor) -> tf.Tensor:
    """Half the square up to 1, and the line that goes on from there."""
    size = tf.abs(difference)
    quadratic = tf.minimum(size, 1.0)
    return quadratic * (size - 0.5 * quadratic)
