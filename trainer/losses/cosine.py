"""The cosine distance of features. Shapes: B = examples, C = channels."""

import tensorflow as tf

from trainer.losses.features import mean_by_example, to_float32
from trainer.losses.vectors import normalize


def cosine_loss(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """The mean over places of 1 - the cosine of the channels: both [B, ..., C] -> [B].

    It sees directions alone, not lengths. A vector of zeros has the cosine 0, without a
    gradient. None reaches the teacher.
    """
    ours, theirs = (normalize(x, axis=-1) for x in to_float32(student, teacher))
    return mean_by_example(1.0 - tf.reduce_sum(ours * theirs, axis=-1))
