"""One convolution and wide hidden layers: a large teacher for small images."""

import keras

from trainer.config import ConvMlpOptions
from trainer.models.dropout import Dropout


def conv_mlp(
    image: keras.KerasTensor, num_classes: int, options: ConvMlpOptions
) -> keras.KerasTensor:
    """Valid 3x3 convolution, hidden layers with dropout, logits.

    By default 27,413,130 parameters on 28x28x1 images of ten classes.
    """
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    x = keras.layers.Conv2D(options.filters, 3, activation="relu", name="convolution")(
        x
    )
    x = keras.layers.Flatten(name="flatten")(x)
    for i, units in enumerate(options.hidden_sizes, start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"hidden_{i}")(x)
        if options.dropout:
            x = Dropout(options.dropout, stream=i, name=f"dropout_{i}")(x)
    return keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
