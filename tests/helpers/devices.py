"""One strategy of each kind in a process, and what replicas hold."""

import functools

import keras
import numpy as np
import tensorflow as tf

from trainer.devices import distribution


@functools.cache
def strategy_of(num_replicas: int) -> tf.distribute.Strategy:
    """One logical CPU, or that many mirrored, as runs in this process have them."""
    devices = tuple(f"/cpu:{i}" for i in range(num_replicas))
    if num_replicas == 1:
        return tf.distribute.OneDeviceStrategy(devices[0])
    return distribution.mirrored(devices)


def numpy_of(variable: keras.Variable) -> np.ndarray:
    """The value of a variable, mirrored or not."""
    return tf.convert_to_tensor(variable.value).numpy()
