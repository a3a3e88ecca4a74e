"""The update rules of Keras by their name in the config."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trainer.config import AdamOptions, SgdOptions, TrainConfig

# Elements from which on memory takes longer than operations take to start.
_LARGE = 2**16


def build_optimizer(train: TrainConfig) -> keras.optimizers.Optimizer:
    """The optimizer's update rule and slots; call it in the strategy's scope.

    Clipping, decay, loss scaling and averaging stay off: Keras applies them before
    gradients are summed over replicas. The learning rate comes with each update.
    """
    return _OPTIMIZERS[train.optimizer](train.optimizer_options)


def _sgd(options: SgdOptions) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(momentum=options.momentum, nesterov=options.nesterov)


class _Adam(keras.optimizers.Adam):
    """Adam, with one operation for each large variable in place of twenty.

    Each of the twenty passes through the memory of gradient, moments or variable.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Moves the variable and its moments (Kingma and Ba 2015, section 2)."""
        if variable.value.shape.num_elements() < _LARGE:
            super().update_step(gradient, variable, learning_rate)
            return
        place = self._get_variable_index(variable)
        count = tf.cast(self.iterations.value, tf.float32) + 1.0
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=self.beta_1**count,
            beta2_power=self.beta_2**count,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _adam(options: AdamOptions) -> keras.optimizers.Optimizer:
    return _Adam(beta_1=options.beta_1, beta_2=options.beta_2, epsilon=options.epsilon)


_OPTIMIZERS: dict[str, Callable[[Any], keras.optimizers.Optimizer]] = {
    "adam": _adam,
    "adamw": _adam,  # the decay is the update's, for every optimizer
    "sgd": _sgd,
}
