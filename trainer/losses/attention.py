"""Attention transfer. Shapes: B = examples, C = channels, places between them."""

import tensorflow as tf

from trainer.losses.features import mean_by_example, to_float32
from trainer.losses.vectors import normalize


def attention_loss(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """The mean over places of squared differences of attention: [B, ..., C] -> [B].

    The attention of a place is the mean over its channels of squares, divided by the L2
    norm of the whole map. Places agree, numbers of channels may differ (Zagoruyko and
    Komodakis 2017, Paying More Attention to Attention, section 3.1, with the square and
    the mean of the authors' code). A map of zeros attends to nothing and has no
    gradient. None reaches the teacher.
    """
    ours, theirs = (_attend(maps) for maps in to_float32(student, teacher))
    return mean_by_example(tf.square(ours - theirs))


def _attend(maps: tf.Tensor) -> tf.Tensor:
    """The normalised attention: [B, ..., C] -> [B, ...]."""
    squares = tf.reduce_mean(tf.square(maps), axis=-1)
    return normalize(squares, axis=list(range(1, squares.shape.rank)))
