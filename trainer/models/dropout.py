"""Dropout whose masks do not depend on replicas. B = examples on this replica."""

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from trainer import prng

# A Keras layer is called with tensors of its own input only, so the keys reach it
# through the context of the call; each replica traces in a thread with its own.
_keys: contextvars.ContextVar[tf.Tensor] = contextvars.ContextVar("dropout_keys")


@contextlib.contextmanager
def dropout_keys(keys: tf.Tensor) -> Iterator[None]:
    """Dropout layers called in the body with training=True draw from uint32 keys [B].

    A key is folded from seed, step and position in the global batch (trainer.prng).
    """
    token = _keys.set(keys)
    try:
        yield
    finally:
        _keys.reset(token)


@keras.saving.register_keras_serializable(package="alambic")
class Dropout(keras.layers.Layer):
    """Drops units with probability `rate`, scales the rest by 1 / (1 - rate).

    Srivastava et al. 2014. `stream` tells the layers of one model apart: two layers
    with the same stream would drop the same positions. With `per_example` an example
    is dropped whole or not at all, as a residual branch is in stochastic depth (Huang
    et al. 2016).
    """

    def __init__(
        self, rate: float, *, stream: int, per_example: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.stream = stream
        self.per_example = per_example

    def call(self, inputs: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """[B, ...] -> [B, ...]; the identity unless training.

        Raises:
          LookupError: training without keys around the call.
        """
        if not training or self.rate == 0:
            return inputs
        keys = prng.key(self.stream, _keys.get())
        units = inputs.shape[1:]
        shape = [-1, *(len(units) * [1] if self.per_example else units)]
        keep = prng.bernoulli(keys, math.prod(shape[1:]), probability=1 - self.rate)
        mask = tf.cast(tf.reshape(keep, shape), inputs.dtype)
        return inputs * mask * tf.constant(1 / (1 - self.rate), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, for saving."""
        return {
            **super().get_config(),
            "rate": self.rate,
            "stream": self.stream,
            "per_example": self.per_example,
        }
