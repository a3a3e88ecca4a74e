"""The signal of a live teacher. Shapes: B = examples on this replica, C = classes."""

import types
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from trainer.data import Batch
from trainer.devices.compiled_part import call_part
from trainer.losses import Member, SoftTargets
from trainer.models import Tap, call_tapped


def online(
    teacher: keras.Model,
    taps: Mapping[str, Tap] = types.MappingProxyType({}),
    *,
    xla: bool = False,
) -> Callable[[Batch], Member]:
    """A forward pass of the frozen teacher on the student's own images.

    The signal maps a batch with "input" [B, ...] to soft targets [B, C], whose logits
    are the same at each temperature, and to the values at `taps`. The teacher runs in
    inference mode: no dropout, and its moving statistics stay as they are. With `xla`
    its pass is compiled apart from the student's.
    """

    def predict(batch: Batch) -> Member:
        def forward() -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            return call_tapped(teacher, batch["input"], training=False, taps=taps)

        logits, features = call_part(forward, xla=xla)
        targets = SoftTargets(logits=tf.stop_gradient(tf.cast(logits, tf.float32)))
        return Member(
            at=lambda temperature: targets,
            features={name: tf.stop_gradient(x) for name, x in features.items()},
        )

    return predict
