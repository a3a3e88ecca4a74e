"""Inputs of a model, and its first layers, which resize and standardise them.

Shapes: B = examples.
"""

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
    """The inputs of one example: an image, a row of features, or anything else."""

    shape: tuple[int, ...]  # (H, W, channels), (features,), or another
    # Of each feature over the training split; None of all but rows.
    mean_and_variance: tuple[np.ndarray, np.ndarray] | None = None
    dtype: str = "uint8"  # or "float32"; of rows also "float64"
    # The smallest and the largest value of the data; None where it is not known.
    value_range: tuple[float, float] | None = None
    image_size: int = 0  # pixels a side that the model works at; 0: as in `shape`

    @property
    def is_row(self) -> bool:
        """Whether an example is a row of features, which models standardise."""
        return self.mean_and_variance is not None

    @property
    def is_image(self) -> bool:
        """Whether an example is an image."""
        return len(self.shape) == 3

    @property
    def is_grey(self) -> bool:
        """Whether an example is an image without channels, which floats may not be."""
        return len(self.shape) == 2 and self.dtype == "uint8"

    @property
    def model_shape(self) -> tuple[int, ...]:
        """The input shape of the architecture: `shape`, resized."""
        if self.image_size:
            return (self.image_size, self.image_size, self.shape[-1])
        return self.shape

    def examples(self, count: int = 4) -> np.ndarray:
        """Some examples that differ as much as those of the data: [count, ...]."""
        if self.mean_and_variance is None:
            low, high = self.value_range or (0, 255)
            shades = np.linspace(low, high, count * int(np.prod(self.shape)))
            return shades.astype(self.dtype).reshape(count, *self.shape)
        mean, variance = self.mean_and_variance
        deviations = np.linspace(-2, 2, count * mean.size).reshape(count, mean.size)
        rows: np.ndarray = mean + deviations * np.sqrt(variance)
        return rows.astype(self.dtype)


def model_input(inputs: Inputs) -> keras.KerasTensor:
    """The tensor that an architecture starts from, made of the data's own input.

    An image is as the data has it, or float32 once resized. A row becomes float32, its
    features with mean 0 and variance 1. All else is as the data has it.
    """
    if inputs.mean_and_variance is None:
        if inputs.is_image:
            return resize(inputs, inputs.model_shape[:2])
        return keras.Input(inputs.shape, dtype=inputs.dtype, name="example")
    row = keras.Input(inputs.shape, dtype=inputs.dtype, name="row")
    mean, variance = (np.asarray(part, np.float64) for part in inputs.mean_and_variance)
    if inputs.dtype == "float64":
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


def architecture_input(inputs: Inputs) -> keras.KerasTensor:
    """The same for an architecture of images: those in grey have got a channel."""
    start = model_input(inputs)
    return keras.ops.expand_dims(start, -1) if inputs.is_grey else start


def resize(inputs: Inputs, size: tuple[int, ...]) -> keras.KerasTensor:
    """Images in `size` (H, W): the data's own where they have it."""
    image = keras.Input(inputs.shape, dtype=inputs.dtype, name="image")
    if inputs.shape[:2] == tuple(size):
        return image
    return Resize(*size, dtype="float32", name="resize")(image)


def as_stored(inputs: Inputs, start: keras.KerasTensor) -> keras.KerasTensor:
    """Images of the data's own type, rounded, for a model that takes them as such."""
    is_rounded = inputs.dtype == "uint8" and start.dtype != "uint8" and inputs.is_image
    return ToUint8(name="to_uint8")(start) if is_rounded else start
