"""The loss against the labels. Shapes: B = examples, C = classes."""

from collections.abc import Sequence

import tensorflow as tf


def hard_loss(
    student_logits: tf.Tensor,
    labels: tf.Tensor,
    *,
    label_smoothing: float,
    class_weights: Sequence[float] = (),
) -> tf.Tensor:
    """Cross-entropy at T = 1 per example: [B, C], integers [B] -> [B], in nats.

    `label_smoothing` is the share of the target that is spread evenly over all classes
    (Szegedy et al. 2016, section 7). With `class_weights` [C] the loss of an example is
    multiplied by the weight of its label's class; a label of -1 has some weight.
    """
    logits = tf.cast(student_logits, tf.float32)
    num_classes = logits.shape[-1]
    one_hot = tf.one_hot(labels, num_classes, dtype=tf.float32)
    targets = (1.0 - label_smoothing) * one_hot + label_smoothing / num_classes
    loss = tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    if not class_weights:
        return loss
    return loss * tf.gather(
        tf.constant(class_weights, tf.float32), tf.maximum(labels, 0)
    )
