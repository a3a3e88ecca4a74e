"""Preserved similarities. Shapes: B = examples, G = of a group, N = groups."""

import tensorflow as tf

from trainer.losses.features import to_float32
from trainer.losses.groups import spread, to_groups
from trainer.losses.vectors import normalize


def similarity_loss(
    student: tf.Tensor, teacher: tf.Tensor, *, group_size: int
) -> tf.Tensor:
    """Squared differences of the similarities in a group: [B, ...], [B, ...] -> [B].

    The similarities of an example are the inner products of its features with those of
    the `group_size` neighbours of its group, divided by their L2 norm. The loss is the
    mean of the G**2 squared differences, the same for all examples of a group (Tung and
    Mori 2019, Similarity-Preserving Knowledge Distillation, section 2). The shapes of
    features may differ; B is a multiple of G. Features of zeros have no similarity. No
    gradient reaches the teacher.
    """
    ours, theirs = (
        _similarities(to_groups(features, group_size=group_size))
        for features in to_float32(student, teacher)
    )
    by_group = tf.reduce_mean(tf.square(ours - theirs), axis=[1, 2])
    return spread(by_group, group_size=group_size)


def _similarities(features: tf.Tensor) -> tf.Tensor:
    """Rows of inner products, normalised: [N, G, D] -> [N, G, G]."""
    return normalize(tf.matmul(features, features, transpose_b=True), axis=-1)
