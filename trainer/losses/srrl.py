"""Softmax regression representation learning. Shapes: B = examples, D = values."""

import tensorflow as tf

from trainer.losses.hint import hint_loss


def srrl_loss(
    student: tf.Tensor,
    teacher: tf.Tensor,
    student_logits: tf.Tensor,
    teacher_logits: tf.Tensor,
) -> tf.Tensor:
    """Squared differences of embeddings and of what the teacher makes of them: -> [B].

    Embeddings [B, D], the student's behind its adapter, and logits [B, C]. The logits
    of the student are those of the teacher's classifier for the student's embedding,
    not its own. The loss is the mean over D of squared differences of embeddings + the
    mean over C of those of logits (Yang et al. 2021, Knowledge Distillation via Softmax
    Regression Representation Learning, section 3). No gradient reaches the teacher.
    """
    by_embedding = hint_loss(student, teacher)
    return by_embedding + hint_loss(student_logits, teacher_logits)
