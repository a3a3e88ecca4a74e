"""One strategy of each kind in a process, and what replicas hold."""

import functools

import keras
import numpy as np
import tensorflow as tf


@functools.cache
def strategy_of(num_replicas: int) -> tf.distribute.Strategy:
    """One logical CPU, or that many mirrored.

    One strategy of each kind in a process, as in a run: two would number their
    collectives alike.
    """
    devices = [f"/cpu:{i}" for i in range(num_replicas)]
    if num_replicas == 1:
        return tf.distribute.OneDeviceStrategy(devices[0])
    return tf.distribute.MirroredStrategy(devices)


def numpy_of(variable: keras.Variable) -> np.ndarray:
    """The value of a variable, mirrored or not."""
    return tf.convert_to_tensor(variable.value).numpy()
