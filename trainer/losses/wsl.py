"""Weighted soft labels. Shapes: B = examples, C = classes."""

import tensorflow as tf

from trainer.losses.log_probs import gather_label, log_probs
from trainer.losses.targets import Scalar

_SMALLEST = 1e-7  # of a teacher's cross-entropy, which may round to 0


def wsl_loss(
    student_logits: tf.Tensor,
    teacher_logits: tf.Tensor,
    labels: tf.Tensor,
    *,
    temperature: Scalar,
) -> tf.Tensor:
    """T**2 w CE(teacher, student) per example: [B, C], [B, C], integers [B] -> [B].

    The weight w = 1 - exp(-CE_s / CE_t) compares both models' cross-entropies with the
    label at T = 1: it is small where the student knows more than its teacher (Zhou et
    al. 2021, Rethinking Soft Labels, section 4). No gradient passes through w, and none
    reaches the teacher.
    """
    teacher_logits = tf.stop_gradient(teacher_logits)
    teacher = log_probs(teacher_logits, temperature)
    student = log_probs(student_logits, temperature)
    cross_entropy = -tf.reduce_sum(tf.exp(teacher) * student, axis=-1)
    of_student = -gather_label(log_probs(tf.stop_gradient(student_logits), 1.0), labels)
    of_teacher = -gather_label(log_probs(teacher_logits, 1.0), labels)
    weight = 1.0 - tf.exp(-of_student / (of_teacher + _SMALLEST))
    return temperature**2 * weight * cross_entropy
