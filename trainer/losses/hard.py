"""The loss against the labels. Shapes: B = examples, C = classes."""

import tensorflow as tf


def hard_loss(student_logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Cross-entropy at T = 1 per example: [B, C], integers [B] -> [B], in nats."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=tf.cast(student_logits, tf.float32)
    )
