"""The signal of a live teacher. Shapes: B = examples on this replica, C = classes."""

from collections.abc import Callable

import keras
import tensorflow as tf


def online(teacher: keras.Model) -> Callable[[dict[str, tf.Tensor]], tf.Tensor]:
    """A forward pass of the frozen teacher on the student's own images.

    The signal maps a batch with "input" [B, ...] to float32 logits [B, C]. The teacher
    runs in inference mode: no dropout, and its moving statistics stay as they are.
    """

    def teacher_logits(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        logits = teacher(batch["input"], training=False)
        return tf.stop_gradient(tf.cast(logits, tf.float32))

    return teacher_logits
