"""Decoupled knowledge distillation. Shapes: B = examples, C = classes."""

import tensorflow as tf

from trainer.losses.log_probs import (
    gather_label,
    kl_divergence,
    log_probs,
    mask_label,
)
from trainer.losses.targets import Scalar


def dkd_loss(
    student_logits: tf.Tensor,
    teacher_logits: tf.Tensor,
    labels: tf.Tensor,
    *,
    temperature: Scalar,
    target_weight: float,
    other_weight: float,
) -> tf.Tensor:
    """T**2 (target_weight TCKD + other_weight NCKD) per example, in nats.

    [B, C], [B, C], integers [B] -> [B]. The weights are the paper's alpha and beta.
    TCKD compares the probability of the label with that of all
    other classes, NCKD the other classes among themselves (Zhao et al. 2022, Decoupled
    Knowledge Distillation, section 3). Of two classes NCKD is 0. No gradient reaches
    the teacher.
    """
    teacher_logits = tf.stop_gradient(teacher_logits)
    target = kl_divergence(
        _binary_log_probs(teacher_logits, labels, temperature),
        _binary_log_probs(student_logits, labels, temperature),
    )
    others = kl_divergence(
        log_probs(mask_label(teacher_logits, labels), temperature),
        log_probs(mask_label(student_logits, labels), temperature),
    )
    return temperature**2 * (target_weight * target + other_weight * others)


def _binary_log_probs(
    logits: tf.Tensor, labels: tf.Tensor, temperature: Scalar
) -> tf.Tensor:
    """Log-probabilities of the label and of all others together: [B, C] -> [B, 2]."""
    scaled = tf.cast(logits, tf.float32) / temperature
    others = tf.reduce_logsumexp(mask_label(scaled, labels), axis=-1)
    return tf.nn.log_softmax(tf.stack([gather_label(scaled, labels), others], axis=-1))
