"""A small network in each kind of file, and the model that reads it."""

import keras
import numpy as np
import tensorflow as tf

from trainer import models
from trainer.config import SavedOptions

NUM_CLASSES = 5


SIDE = 12


def network(*, channels=3, classes=NUM_CLASSES, side=SIDE, softmax=False, dtype=None):
    """Small, with a moving average and weights that are not those of any seed."""
    image = keras.Input((side, side, channels), dtype=dtype)
    x = keras.layers.Rescaling(1.0)(image)  # float32, whatever the file takes
    x = keras.layers.Conv2D(4, 3)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(classes, activation="softmax" if softmax else None)(x)
    model = keras.Model(image, x)
    rng = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(rng.uniform(0.2, 1.2, weight.shape))
    return model


def write(model, folder, kind):
    """The path of a network in a file or folder of a kind."""
    path = str(folder / kind)
    if kind == "file.keras":
        model.save(path)
    elif kind == "exported":
        model.export(path, verbose=False)
    else:
        tf.saved_model.save(model, path)
    return path


def build(path, *, shape=(SIDE, SIDE, 3), image_size=0, **options):
    """The model that reads a network from a path."""
    options = {"input": "zero_to_one", "path": str(path)} | options
    return models.build(
        "saved",
        SavedOptions(**options),
        inputs=models.Inputs(shape=shape, image_size=image_size),
        num_classes=NUM_CLASSES,
        seed=0,
        precision="float32",
        setting="teacher",
    )
