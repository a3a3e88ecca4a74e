"""The convolutional network of the Keras knowledge-distillation example."""

import keras

from trainer.config import CnnOptions


def cnn(
    image: keras.KerasTensor, num_classes: int, options: CnnOptions
) -> keras.KerasTensor:
    """Stride-2 3x3 same convolutions with leaky ReLU and max-pool between them.

    Nothing follows the last convolution but the logits. With filters (256, 512) on
    28x28x1 images it is the example's teacher, 1,433,610 parameters; with (16, 32) its
    student.
    """
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    last = len(options.filters)
    for i, filters in enumerate(options.filters, start=1):
        x = keras.layers.Conv2D(
            filters, 3, strides=2, padding="same", name=f"convolution_{i}"
        )(x)
        if i < last:
            x = keras.layers.LeakyReLU(negative_slope=0.2, name=f"leaky_relu_{i}")(x)
            x = keras.layers.MaxPooling2D(
                2, strides=1, padding="same", name=f"max_pool_{i}"
            )(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
