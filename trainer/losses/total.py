"""The weighted sum of the losses."""

import tensorflow as tf


def total_loss(soft: tf.Tensor, hard: tf.Tensor, *, alpha: float) -> tf.Tensor:
    """The sum alpha * soft + (1 - alpha) * hard: [B], [B] -> [B].

    `alpha` is the weight of the soft loss, which already carries its T**2.
    """
    return alpha * soft + (1.0 - alpha) * hard
