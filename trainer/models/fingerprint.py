"""What tells a model's weights from others."""

import hashlib

import keras
import numpy as np
import tensorflow as tf


def fingerprint(model: keras.Model) -> str:
    """SHA-256 of all variables, in their order, with shapes and types."""
    digest = hashlib.sha256()
    for variable in model.variables:
        value = tf.convert_to_tensor(variable.value).numpy()
        digest.update(f"{value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
