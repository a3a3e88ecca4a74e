"""Images mixed in pairs, so that the teacher is asked between its training images.

The partners are positions 2j and 2j + 1 of the global batch. Design: Beyer et al. 2021,
"Knowledge distillation: A good teacher is patient and consistent", section 3.

Shapes: B = examples on this replica, an even number from an even position on.
"""

import tensorflow as tf

from trainer import prng

# Stands where other uses of a seed have a step or an epoch, none of which is negative.
_USE = -1

# The steps of a coefficient between 0 and 1. With these float32 holds every product
# and sum of 8-bit pixels exactly, whatever a compiler fuses: all devices mix alike.
_LEVELS = 2**16


def mix(
    inputs: tf.Tensor,
    batch_positions: tf.Tensor,
    step: tf.Tensor,
    *,
    share: float,
    seed: int,
) -> tf.Tensor:
    """Partners a, b become m a + (1 - m) b and m b + (1 - m) a: [B, ...] -> [B, ...].

    `batch_positions`, integers [B], are those in the global batch. That `share` of the
    pairs is mixed, each by its own m, uniform in [0, 1) and drawn anew in each step.
    Images, uint8, are rounded to whole numbers; the numbers of a table are not.
    """
    draws = prng.uniforms(prng.key(seed, _USE, step, batch_positions // 2), 2)
    level = tf.floor(draws[:, 0] * _LEVELS) / _LEVELS
    own = tf.where(draws[:, 1] < share, level, 1.0)
    own = tf.reshape(own, [-1, *[1] * (inputs.shape.rank - 1)])
    values = tf.cast(inputs, tf.float32)
    mixture = own * values + (1.0 - own) * _partners(values)
    if inputs.dtype.is_integer:
        mixture = tf.round(mixture)
    return tf.cast(mixture, inputs.dtype)


def _partners(values: tf.Tensor) -> tf.Tensor:
    """Each example's partner in its place."""
    pairs = tf.reshape(values, [-1, 2, *values.shape[1:]])
    return tf.reshape(pairs[:, ::-1], tf.shape(values))
