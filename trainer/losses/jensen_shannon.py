"""The generalised Jensen-Shannon divergence. Shapes: B = examples, C = classes."""

import math

import tensorflow as tf

from trainer.losses.log_probs import kl_divergence, log_probs
from trainer.losses.targets import Scalar


def jensen_shannon_loss(
    student_logits: tf.Tensor,
    teacher_logits: tf.Tensor,
    *,
    temperature: Scalar,
    beta: float,
) -> tf.Tensor:
    """T**2 JSD_beta(teacher, student) per example: [B, C], [B, C] -> [B], in nats.

    With the mixture m = beta teacher + (1 - beta) student it is
    beta KL(teacher || m) + (1 - beta) KL(student || m), and by convention
    KL(teacher || student) for beta 0 and KL(student || teacher) for beta 1 (Agarwal et
    al. 2024, On-Policy Distillation, section 2). No gradient reaches the teacher.
    """
    student = log_probs(student_logits, temperature)
    teacher = log_probs(tf.stop_gradient(teacher_logits), temperature)
    if beta in (0, 1):
        pair = (student, teacher) if beta else (teacher, student)
        return temperature**2 * kl_divergence(*pair)
    parts = [math.log(beta) + teacher, math.log1p(-beta) + student]
    mixture = tf.reduce_logsumexp(tf.stack(parts), axis=0)
    divergence = beta * kl_divergence(teacher, mixture)
    divergence += (1.0 - beta) * kl_divergence(student, mixture)
    return temperature**2 * divergence
