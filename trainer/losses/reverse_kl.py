"""KL with the student first. Shapes: B = examples, C = classes."""

import tensorflow as tf

from trainer.losses.log_probs import kl_divergence, log_probs
from trainer.losses.targets import Scalar


def reverse_kl_loss(
    student_logits: tf.Tensor, teacher_logits: tf.Tensor, *, temperature: Scalar
) -> tf.Tensor:
    """T**2 KL(student || teacher) per example: [B, C], [B, C] -> [B], in nats.

    It is mode seeking: the student may leave out classes that the teacher finds
    likely (Agarwal et al. 2024, On-Policy Distillation, section 2). No gradient reaches
    the teacher.
    """
    student = log_probs(student_logits, temperature)
    teacher = log_probs(tf.stop_gradient(teacher_logits), temperature)
    return temperature**2 * kl_divergence(student, teacher)
