"""The loss against the teacher. Shapes: B = examples, C = classes."""

import tensorflow as tf


def soft_loss(
    student_logits: tf.Tensor, teacher_logits: tf.Tensor, *, temperature: float
) -> tf.Tensor:
    """T**2 KL(teacher || student) per example: [B, C], [B, C] -> [B], in nats.

    Both models' logits are divided by the temperature T, and the divergence is summed
    over the classes. The factor T**2 keeps the gradient at the scale of the hard loss
    when T changes (Hinton, Vinyals and Dean, 2015, section 2). No gradient reaches
    the teacher.
    """
    teacher_logits = tf.cast(tf.stop_gradient(teacher_logits), tf.float32)
    student_logits = tf.cast(student_logits, tf.float32)
    teacher_log_probs = tf.nn.log_softmax(teacher_logits / temperature)
    student_log_probs = tf.nn.log_softmax(student_logits / temperature)
    divergence = tf.exp(teacher_log_probs) * (teacher_log_probs - student_log_probs)
    return temperature**2 * tf.reduce_sum(divergence, axis=-1)
