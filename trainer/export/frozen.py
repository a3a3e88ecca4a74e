"""A model whose weights are constants of its graph, as converters want it."""

import keras
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from trainer.export.saved_model import probabilities


def freeze(model: keras.Model) -> tf.types.experimental.ConcreteFunction:
    """From inputs [B, ...] to probabilities float32 [B, C], without a variable."""
    return convert_to_constants.convert_variables_to_constants_v2(probabilities(model))
