"""Images in another size, on the device and under XLA.

Shapes: B = images on this replica, H, W = their size, P, Q = the new one.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


def resize_matrix(size: int, new_size: int) -> np.ndarray:
    """Linear interpolation along one axis: float32 [new_size, size], rows sum to 1.

    Where the axis shrinks, the triangle is as much wider, so that every pixel counts
    and fine patterns do not turn into coarse ones; tf.image.resize calls it antialias.
    """
    scale = size / new_size
    centres = (np.arange(new_size) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(size) - centres[:, np.newaxis]) / max(scale, 1)
    weights = np.maximum(1 - distances, 0)
    normalised: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return normalised.astype(np.float32)


@keras.saving.register_keras_serializable(package="alambic")
class Resize(keras.layers.Layer):
    """Resizes images by two matrix products, one an axis; their proportions may change.

    XLA has no operation for tf.image.resize with antialias.
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = height
        self.width = width

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, H, W, channels] -> [B, P, Q, channels] in the same range of values."""
        rows = resize_matrix(inputs.shape[1], self.height)
        columns = resize_matrix(inputs.shape[2], self.width)
        x = tf.cast(inputs, self.compute_dtype)
        x = tf.einsum("ph,bhwc->bpwc", tf.cast(rows, x.dtype), x)
        return tf.einsum("qw,bpwc->bpqc", tf.cast(columns, x.dtype), x)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """The new size, as many images and channels."""
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, for saving."""
        return {**super().get_config(), "height": self.height, "width": self.width}


@keras.saving.register_keras_serializable(package="alambic")
class ToUint8(keras.layers.Layer):
    """Resized images as files have them, for a model that expects uint8."""

    def __init__(self, **kwargs: Any) -> None:
        # Rounded to bfloat16 first, 101.49 would be 101.5, and then 102.
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Values from 0 to 255, rounded: [B, ...] -> uint8 [B, ...]."""
        return tf.cast(tf.round(inputs), tf.uint8)
