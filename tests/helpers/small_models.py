"""Small models of each architecture, and what their tests share."""

import keras
import numpy as np

from trainer import models
from trainer.config import CnnOptions, ConvMlpOptions, MlpOptions

MNIST_SHAPE = (28, 28, 1)
NUM_CLASSES = 10

SMALL = {
    "cnn": CnnOptions(filters=(3, 4)),
    "conv_mlp": ConvMlpOptions(filters=3, hidden_sizes=(6, 5)),
    "mlp": MlpOptions(hidden_sizes=(6, 5), input_dropout=0.2, dropout=0.5),
}


def build(
    name: str,
    options: object,
    *,
    image_shape: tuple[int, int, int] = (9, 8, 2),
    num_classes: int = NUM_CLASSES,
    seed: int = 0,
    precision: str = "float32",
) -> keras.Model:
    return models.build(
        name,
        options,
        inputs=models.Inputs(shape=image_shape),
        num_classes=num_classes,
        seed=seed,
        precision=precision,
        setting="student",
    )


def noise_images(count: int, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


def randomise(model: keras.Model) -> list[np.ndarray]:
    """Gives every weight, biases included, a random value; returns them in float64."""
    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    return [w.astype(np.float64) for w in model.get_weights()]


def convolution(
    x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, *, stride: int
) -> np.ndarray:
    """Over windows wholly inside x: [B, H, W, channels], kernel [k, k, in, out]."""
    size = kernel.shape[0]
    rows = range(0, x.shape[1] - size + 1, stride)
    columns = range(0, x.shape[2] - size + 1, stride)
    out = np.empty((len(x), len(rows), len(columns), kernel.shape[-1]))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = x[:, row : row + size, column : column + size]
            out[:, i, j] = np.tensordot(window, kernel, axes=3) + bias
    return out


def num_normalisations(model: keras.Model) -> int:
    """The layers of BatchNormalization in a model and in networks within it."""
    return sum(
        isinstance(layer, keras.layers.BatchNormalization)
        for layer in model._flatten_layers()
    )
