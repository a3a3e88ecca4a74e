"""The signal of a live teacher. Shapes: B = examples on this replica, C = classes."""

from collections.abc import Callable

import keras
import tensorflow as tf

from trainer.data import Batch
from trainer.losses import SoftTargets


def online(teacher: keras.Model) -> Callable[[Batch], SoftTargets]:
    """A forward pass of the frozen teacher on the student's own images.

    The signal maps a batch with "input" [B, ...] to soft targets [B, C]. The teacher
    runs in inference mode: no dropout, and its moving statistics stay as they are.
    """

    def targets(batch: Batch) -> SoftTargets:
        logits = teacher(batch["input"], training=False)
        return SoftTargets(logits=tf.stop_gradient(tf.cast(logits, tf.float32)))

    return targets
