"""Standard scores and correlations that stay finite where values are all the same."""

import tensorflow as tf

from trainer.losses.vectors import ROUNDING

_SMALLEST = 1e-7  # beside a standard deviation, as in the paper


def standardize(logits: tf.Tensor) -> tf.Tensor:
    """Subtracts each example's mean and divides by its deviation: [B, C] -> [B, C].

    The deviation is that of a sample, plus 1e-7 (Sun et al. 2024, Logit Standardization
    in Knowledge Distillation, section 4). Logits that are all the same become 0,
    without a gradient.
    """
    logits = tf.cast(logits, tf.float32)
    centered, norm, varies = _center(logits, axis=-1)
    deviation = norm / float(max(logits.shape[-1] - 1, 1)) ** 0.5
    return tf.where(varies, centered / (deviation + _SMALLEST), 0.0)


def pearson(first: tf.Tensor, second: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Pearson's correlation along an axis; 0 without a gradient for constant values."""
    one, norm, varies = _center(first, axis=axis)
    other, other_norm, other_varies = _center(second, axis=axis)
    product = tf.reduce_sum((one / norm) * (other / other_norm), axis=axis)
    return tf.where(tf.squeeze(varies & other_varies, axis), product, 0.0)


def _center(values: tf.Tensor, *, axis: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Values less their mean, the norm of these, and whether it is more than rounding.

    Where it is not, the norm given is 1: a root has no gradient at 0.
    """
    centered = values - tf.reduce_mean(values, axis=axis, keepdims=True)
    square = tf.reduce_sum(tf.square(centered), axis=axis, keepdims=True)
    size = tf.reduce_sum(tf.square(values), axis=axis, keepdims=True)
    varies = square > tf.stop_gradient(ROUNDING**2 * size)
    return centered, tf.sqrt(tf.where(varies, square, 1.0)), varies
