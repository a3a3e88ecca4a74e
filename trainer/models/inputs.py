"""Inputs of a model, and its first layers, which resize and standardise them."""

import dataclasses

import keras
import numpy as np

from trainer.models.resize import Resize, ToUint8
from trainer.models.standardise import Standardise

# A feature whose deviation is below this share of its mean is constant: float32 does
# not tell such values apart.
_CONSTANT = 1e-6
_CONSTANT_FLOAT64 = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of one example: an image, or the row of a table."""

    shape: tuple[int, ...]  # (H, W, channels) of uint8, or (features,)
    # Of each feature over the training split; None for images.
    mean_and_variance: tuple[np.ndarray, np.ndarray] | None = None
    row_dtype: str = "float32"  # of the rows of a table, or "float64"
    image_size: int = 0  # pixels a side that the model works at; 0: as in `shape`

    @property
    def is_image(self) -> bool:
        """Whether an example is an image and not the row of a table."""
        return self.mean_and_variance is None

    @property
    def dtype(self) -> str:
        """The type of the values of an example, as the data yield them."""
        return "uint8" if self.is_image else self.row_dtype

    @property
    def model_shape(self) -> tuple[int, ...]:
        """The input shape of the architecture: `shape`, resized."""
        if self.image_size:
            return (self.image_size, self.image_size, self.shape[-1])
        return self.shape

    def examples(self, count: int = 4) -> np.ndarray:
        """Some examples that differ as much as those of the data: [count, ...]."""
        if self.mean_and_variance is None:
            shades = np.linspace(0, 255, count * int(np.prod(self.shape)))
            return shades.astype(np.uint8).reshape(count, *self.shape)
        mean, variance = self.mean_and_variance
        deviations = np.linspace(-2, 2, count * mean.size).reshape(count, mean.size)
        rows: np.ndarray = mean + deviations * np.sqrt(variance)
        return rows.astype(self.row_dtype)


def model_input(inputs: Inputs) -> keras.KerasTensor:
    """The tensor that an architecture starts from, made of the data's own input.

    An image has values from 0 to 255: uint8 as the data has it, or float32 once
    resized. The row of a table becomes float32, its features with mean 0 and variance
    1.
    """
    if inputs.mean_and_variance is None:
        return resize(inputs.shape, inputs.model_shape[:2])
    row = keras.Input(inputs.shape, dtype=inputs.row_dtype, name="row")
    mean, variance = (np.asarray(part, np.float64) for part in inputs.mean_and_variance)
    if inputs.row_dtype == "float64":
        deviation = np.sqrt(variance)
        constant = deviation <= _CONSTANT_FLOAT64 * np.abs(mean)
        size = np.where(mean == 0, 1, np.abs(mean))
        return Standardise(
            mean=mean.tolist(),
            deviation=np.where(constant, size, deviation).tolist(),
            name="standardisation",
        )(row)
    constant = np.sqrt(variance) <= _CONSTANT * np.abs(mean)
    return keras.layers.Normalization(
        mean=mean.tolist(),
        variance=np.where(constant, 1, variance).tolist(),
        dtype="float32",
        name="standardisation",
    )(row)


def resize(shape: tuple[int, ...], size: tuple[int, ...]) -> keras.KerasTensor:
    """Images of `shape` in `size` (H, W): the data's own where they have it."""
    image = keras.Input(shape, dtype="uint8", name="image")
    if shape[:2] == tuple(size):
        return image
    return Resize(*size, dtype="float32", name="resize")(image)


def to_uint8(image: keras.KerasTensor) -> keras.KerasTensor:
    """Rounded, for a model that takes images as files have them."""
    return image if image.dtype == "uint8" else ToUint8(name="to_uint8")(image)
