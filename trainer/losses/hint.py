"""Hints. Shapes: B = examples, C = channels, and any places between them."""

import tensorflow as tf

from trainer.losses.features import mean_by_example, to_float32


def hint_loss(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """The mean squared difference over places and channels: both [B, ..., C] -> [B].

    The student's features are those behind its adapter (Romero et al. 2015, FitNets:
    Hints for Thin Deep Nets, section 2.2, where it is half the sum). No gradient
    reaches the teacher.
    """
    student, teacher = to_float32(student, teacher)
    return mean_by_example(tf.square(student - teacher))
