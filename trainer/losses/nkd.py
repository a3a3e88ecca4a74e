"""Normalised knowledge distillation. Shapes: B = examples, C = classes."""

import tensorflow as tf

from trainer.losses.log_probs import gather_label, log_probs, mask_label
from trainer.losses.targets import Scalar


def nkd_loss(
    student_logits: tf.Tensor,
    teacher_logits: tf.Tensor,
    labels: tf.Tensor,
    *,
    temperature: Scalar,
    gamma: float,
) -> tf.Tensor:
    """Cross-entropies of the label, weighted by the teacher, and of other classes.

    -p_t(y) log p_s(y) - gamma T**2 sum over c other than y of q_t(c) log q_s(c) per
    example: [B, C], [B, C], integers [B] -> [B], in nats. p is softmax at T = 1, q
    softmax at T without the label y (Yang et al. 2023, From Knowledge Distillation to
    Self-Knowledge Distillation, section 3). It is no divergence: where both models
    agree, its gradient is not 0. No gradient reaches the teacher.
    """
    teacher_logits = tf.stop_gradient(teacher_logits)
    confidence = gather_label(tf.exp(log_probs(teacher_logits, 1.0)), labels)
    target = confidence * gather_label(log_probs(student_logits, 1.0), labels)
    teacher = log_probs(mask_label(teacher_logits, labels), temperature)
    student = log_probs(mask_label(student_logits, labels), temperature)
    others = tf.reduce_sum(tf.exp(teacher) * student, axis=-1)
    return -target - gamma * temperature**2 * others
