"""The signal of a live teacher. Shapes: B = examples on this replica, C = classes."""

from collections.abc import Callable

import keras
import tensorflow as tf

from trainer.data import Batch
from trainer.losses import Member, SoftTargets


def online(teacher: keras.Model) -> Callable[[Batch], Member]:
    """A forward pass of the frozen teacher on the student's own images.

    The signal maps a batch with "input" [B, ...] to soft targets [B, C], whose logits
    are the same at each temperature. The teacher runs in inference mode: no dropout,
    and its moving statistics stay as they are.
    """

    def predict(batch: Batch) -> Member:
        logits = teacher(batch["input"], training=False)
        targets = SoftTargets(logits=tf.stop_gradient(tf.cast(logits, tf.float32)))
        return lambda temperature: targets

    return predict
