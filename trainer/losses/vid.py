"""Variational information distillation. Shapes: B = examples, C = channels."""

import tensorflow as tf

from trainer.losses.features import mean_by_example, to_float32


def vid_loss(
    student: tf.Tensor, teacher: tf.Tensor, *, variance: tf.Tensor
) -> tf.Tensor:
    """The mean negative log-likelihood of the teacher's features: [B, ..., C] -> [B].

    Over places and channels it is the mean of
    ((student - teacher)**2 / variance + log variance) / 2 in nats, without the constant
    log(2 pi) / 2: the student's features, behind their adapter, are the means of normal
    distributions with the positive `variance` of each channel, float32 [C], which is
    trained (Ahn et al. 2019, Variational Information Distillation for Knowledge
    Transfer, equations 3 to 6). It may be negative. No gradient reaches the teacher.
    """
    student, teacher = to_float32(student, teacher)
    surprise = tf.square(student - teacher) / variance + tf.math.log(variance)
    return 0.5 * mean_by_example(surprise)
