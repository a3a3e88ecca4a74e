"""Parts that losses on logits share. Shapes: B = examples, C = classes."""

import tensorflow as tf

from trainer.losses.targets import Scalar

# In the place of minus infinity, which would make gradients that stop at it NaN.
_MASKED_LOGIT = -1e30


def log_probs(logits: tf.Tensor, temperature: Scalar) -> tf.Tensor:
    """The logarithms of softmax(logits / T): [B, C] -> float32 [B, C]."""
    return tf.nn.log_softmax(tf.cast(logits, tf.float32) / temperature)


def kl_divergence(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """KL(first || second) of log-probabilities: [B, C], [B, C] -> [B], in nats."""
    return tf.reduce_sum(tf.exp(first) * (first - second), axis=-1)


def gather_label(values: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The value of each example's label: [B, C], integers [B] -> [B]; 0 without one."""
    one_hot = tf.one_hot(labels, values.shape[-1], dtype=tf.float32)
    return tf.reduce_sum(one_hot * values, axis=-1)


def mask_label(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Logits with which softmax gives the label nothing: float32 [B, C] -> [B, C]."""
    is_label = tf.one_hot(labels, logits.shape[-1], on_value=True, off_value=False)
    return tf.where(is_label, _MASKED_LOGIT, tf.cast(logits, tf.float32))
