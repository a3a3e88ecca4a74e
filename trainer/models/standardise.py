"""Features of float64 that float32 would round away, brought to one scale."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="alambic")
class Standardise(keras.layers.Layer):
    """Takes the mean off each feature and divides by its deviation, then by float32.

    Unlike Keras's Normalization it computes in float64, and knows no smallest deviation
    but 0.
    """

    def __init__(
        self, *, mean: Sequence[float], deviation: Sequence[float], **kwargs: Any
    ) -> None:
        # Keras would make float32 of the rows before `call` sees them.
        super().__init__(dtype="float64", autocast=False, **kwargs)
        self.mean = list(mean)
        self.deviation = list(deviation)

    def call(self, rows: tf.Tensor) -> tf.Tensor:
        """float64 [B, F] -> float32 [B, F]."""
        mean = tf.constant(self.mean, tf.float64)
        deviation = tf.constant(self.deviation, tf.float64)
        return tf.cast((rows - mean) / deviation, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, for saving."""
        config = super().get_config()
        del config["dtype"]
        return {**config, "mean": self.mean, "deviation": self.deviation}

    def compute_output_spec(self, rows: keras.KerasTensor) -> keras.KerasTensor:
        """The shape and type of the output of `call`."""
        return keras.KerasTensor(rows.shape, dtype="float32")
