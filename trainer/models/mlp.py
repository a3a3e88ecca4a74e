"""Fully connected network (Hinton, Vinyals and Dean, 2015, section 3)."""

import keras

from trainer.config import MlpOptions
from trainer.models.dropout import Dropout


def mlp(
    x: keras.KerasTensor, num_classes: int, options: MlpOptions
) -> keras.KerasTensor:
    """Flattened pixels in [0, 1], or the row of a table; hidden layers; logits."""
    if len(x.shape) == 4:
        x = keras.layers.Rescaling(1 / 255, name="rescaling")(x)
        x = keras.layers.Flatten(name="flatten")(x)
    if options.input_dropout:
        x = Dropout(options.input_dropout, stream=0, name="input_dropout")(x)
    for i, units in enumerate(options.hidden_sizes, start=1):
        x = keras.layers.Dense(
            units,
            activation=options.activation,
            # Bounds the norm of each unit's incoming weights (Srivastava et al. 2014).
            kernel_constraint=(
                keras.constraints.MaxNorm(options.max_norm)
                if options.max_norm
                else None
            ),
            name=f"hidden_{i}",
        )(x)
        if options.dropout:
            x = Dropout(options.dropout, stream=i, name=f"dropout_{i}")(x)
    return keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
