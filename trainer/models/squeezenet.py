"""SqueezeNet v1.1 (Iandola et al. 2016, and the authors' release of version 1.1)."""

import keras

from trainer.config import SqueezenetOptions
from trainer.models.dropout import Dropout

# Of each fire module: filters that squeeze, filters of each kind that expand.
_FIRES = (
    ((16, 64), (16, 64)),
    ((32, 128), (32, 128)),
    ((48, 192), (48, 192), (64, 256), (64, 256)),
)


def squeezenet(
    image: keras.KerasTensor, num_classes: int, options: SqueezenetOptions
) -> keras.KerasTensor:
    """Fire modules between max-pools, then 1x1 filters averaged over the image.

    1,235,496 parameters for 1000 classes. Left out is the original's ReLU after the
    last convolution: logits must be able to be negative.
    """
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="rescaling")(image)
    x = _convolution(64, 3, "conv1", strides=2)(x)
    number = 2
    for fires in _FIRES:
        x = keras.layers.MaxPooling2D(3, strides=2, name=f"pool_before_fire{number}")(x)
        for squeeze, expand in fires:
            x = _fire(x, squeeze, expand, f"fire{number}")
            number += 1
    if options.dropout:
        x = Dropout(options.dropout, stream=1, name="dropout")(x)
    x = keras.layers.Conv2D(
        num_classes, 1, kernel_initializer="he_normal", dtype="float32", name="conv10"
    )(x)
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)


def _fire(
    x: keras.KerasTensor, squeeze: int, expand: int, name: str
) -> keras.KerasTensor:
    """Few 1x1 filters, then many of 1x1 and of 3x3 side by side."""
    x = _convolution(squeeze, 1, f"{name}_squeeze")(x)
    sides = [_convolution(expand, size, f"{name}_expand{size}")(x) for size in (1, 3)]
    return keras.layers.Concatenate(name=f"{name}_concat")(sides)


def _convolution(
    filters: int, size: int, name: str, *, strides: int = 1
) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="valid" if strides > 1 else "same",
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )
