"""The update rules of Keras by their name in the config."""

from collections.abc import Callable
from typing import Any

import keras

from trainer.config import AdamOptions, SgdOptions, TrainConfig


def optimizer(train: TrainConfig) -> keras.optimizers.Optimizer:
    """The optimizer's update rule and slots; call it in the strategy's scope.

    Clipping, decay, loss scaling and averaging stay off: Keras applies them before
    gradients are summed over replicas. The learning rate comes with each update.
    """
    return _OPTIMIZERS[train.optimizer](train.optimizer_options)


def _sgd(options: SgdOptions) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(momentum=options.momentum, nesterov=options.nesterov)


def _adam(options: AdamOptions) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(
        beta_1=options.beta_1, beta_2=options.beta_2, epsilon=options.epsilon
    )


_OPTIMIZERS: dict[str, Callable[[Any], keras.optimizers.Optimizer]] = {
    "adam": _adam,
    "adamw": _adam,  # the decay is the update's, for every optimizer
    "sgd": _sgd,
}
