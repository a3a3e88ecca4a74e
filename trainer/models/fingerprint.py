"""The fingerprint of a model's weights, which tells them from others."""

import hashlib

import keras
import numpy as np
import tensorflow as tf

from trainer.models.standardise import Standardise


def fingerprint(model: keras.Model) -> str:
    """SHA-256 of all variables, in their order, with shapes and types.

    The means and variances that the rows of a table are scaled by count with them.
    """
    values = [variable.value for variable in model.variables]
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Normalization):
            # Given with the layer, they are no variables.
            values += [layer.mean, layer.variance]
        if isinstance(layer, Standardise):
            values += [np.array(layer.mean), np.array(layer.deviation)]
    digest = hashlib.sha256()
    for value in values:
        array = tf.convert_to_tensor(value).numpy()
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
