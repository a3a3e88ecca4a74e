"""The factor that keeps small gradients inside float16's range."""

import math

import keras
import tensorflow as tf

_FIRST = 2.0**15  # of a mean loss
_STEPS_TO_DOUBLE = 2000


class LossScale:
    """A power of two that halves on overflow and doubles after 2,000 good steps.

    Micikevicius et al. 2018, section 3.2. Every replica holds a copy, sees the same
    reduced gradients, and so takes the same decision.
    """

    def __init__(self, *, global_batch_size: int) -> None:
        """Call it in the strategy's scope.

        The loss it scales is a sum over examples, so that the scale of the mean loss is
        larger, by the batch rounded to a power of two.
        """
        self._smallest = 2.0 ** -round(math.log2(global_batch_size))
        self.value = _variable(_FIRST * self._smallest, "loss_scale")
        self._good_steps = _variable(0, "good_steps")

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables that a checkpoint keeps."""
        return [self.value, self._good_steps]

    def forgives(self) -> tf.Tensor:
        """Whether an overflow may be the scale's fault: bool [].

        With the mean loss at scale 1 it is the training's own, which has diverged.
        """
        return self.value.value > self._smallest

    def adapt(self, finite: tf.Tensor) -> None:
        """Takes note of whether the last gradients were finite: bool []."""
        good_steps = tf.where(finite, self._good_steps.value + 1.0, 0.0)
        doubles = good_steps >= _STEPS_TO_DOUBLE
        grown = tf.where(doubles, 2.0 * self.value.value, self.value.value)
        shrunk = tf.maximum(self.value.value / 2.0, self._smallest)
        self.value.assign(tf.where(finite, grown, shrunk))
        self._good_steps.assign(tf.where(doubles, 0.0, good_steps))


def _variable(value: float, name: str) -> keras.Variable:
    return keras.Variable(value, dtype="float32", trainable=False, name=name)
