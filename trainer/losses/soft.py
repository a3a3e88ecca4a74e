"""The loss against the teacher. Shapes: B = examples, C = classes."""

import tensorflow as tf

from trainer.losses.log_probs import kl_divergence, log_probs
from trainer.losses.targets import Scalar


def soft_loss(
    student_logits: tf.Tensor, teacher_logits: tf.Tensor, *, temperature: Scalar
) -> tf.Tensor:
    """T**2 KL(teacher || student) per example: [B, C], [B, C] -> [B], in nats.

    Both models' logits are divided by the temperature T, and the divergence is summed
    over the classes. The factor T**2 keeps the gradient at the scale of the hard loss
    when T changes (Hinton, Vinyals and Dean, 2015, section 2). No gradient reaches
    the teacher.
    """
    teacher = log_probs(tf.stop_gradient(teacher_logits), temperature)
    student = log_probs(student_logits, temperature)
    return temperature**2 * kl_divergence(teacher, student)
