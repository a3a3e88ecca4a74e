"""A moving average of a model's weights."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


class ExponentialMovingAverage:
    """The exponential moving average of each weight and moving statistic.

    Tarvainen and Valpola 2017 evaluate the average of a student in place of its last
    weights. Every replica averages its own copies, which are equal.
    """

    def __init__(self, followed: list[keras.Variable], *, decay: float) -> None:
        """Call it in the strategy's scope, with the weights the training starts from.

        `decay` is the share of the average that a step leaves.
        """
        self._followed = followed
        self._decay = decay
        self.variables = [
            keras.Variable(
                tf.convert_to_tensor(variable.value),
                dtype="float32",
                trainable=False,
                name="average",
            )
            for variable in followed
        ]

    def update(self, step: tf.Tensor) -> None:
        """Moves the averages towards the weights after `step` earlier updates.

        The first steps leave less, so that the average soon forgets the initial weights
        (as TensorFlow's ExponentialMovingAverage with num_updates).
        """
        done = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, (1.0 + done) / (10.0 + done))
        for average, variable in zip(self.variables, self._followed, strict=True):
            average.assign(decay * average.value + (1.0 - decay) * variable.value)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has its average weights in the body, and its own after it."""
        own = [_value(variable) for variable in self._followed]
        for variable, average in zip(self._followed, self.variables, strict=True):
            variable.assign(_value(average))
        try:
            yield
        finally:
            for variable, value in zip(self._followed, own, strict=True):
                variable.assign(value)


def _value(variable: keras.Variable) -> tf.Tensor:
    # A copy: outside the replicas the value of a mirrored variable is the variable.
    return tf.identity(tf.convert_to_tensor(variable.value))
