"""Groups of neighbouring examples, in which losses compare examples.

Shapes: B = examples, G = of a group, N = B / G groups, D = values of an example.
"""

import math

import tensorflow as tf


def to_groups(features: tf.Tensor, *, group_size: int) -> tf.Tensor:
    """The values of each group's examples: [B, ...] -> [N, G, D]."""
    num_values = math.prod(features.shape[1:])
    return tf.reshape(features, [-1, group_size, num_values])


def spread(by_group: tf.Tensor, *, group_size: int) -> tf.Tensor:
    """The loss of each group for each of its examples: [N] -> [B]."""
    return tf.repeat(by_group, group_size)
