"""The length of a training, and the learning rate of each of its steps."""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer.config import (
    ConfigError,
    ConstantOptions,
    CosineOptions,
    StepOptions,
    TrainConfig,
)

# The learning rate of the update that follows `step` finished ones.
Schedule = Callable[[tf.Tensor], tf.Tensor]


def num_steps(train: TrainConfig, *, num_examples: int) -> int:
    """Updates of a whole training on that many examples."""
    if train.steps:
        return train.steps
    exact = train.epochs * num_examples / train.global_batch_size
    # Rounded first: 4.03 epochs of 1,000 examples are not a hair more than 4,030.
    return max(1, math.ceil(round(exact, 6)))


def schedule(train: TrainConfig, *, num_steps: int, setting: str) -> Schedule:
    """The learning rate as a function of the number of finished steps, from 0 on.

    Raises:
      ConfigError: the warm-up, of the section named `setting`, leaves no step to train.
    """
    warmup_steps = train.schedule_options.warmup_steps
    if warmup_steps >= num_steps:
        raise ConfigError(
            f"{setting}.schedule_options.warmup_steps must be below the {num_steps} "
            f"steps of the training, got {warmup_steps}; lower it or train longer"
        )
    factor = _SCHEDULES[train.schedule]

    def learning_rate(step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step, tf.float32)
        # The first update already moves, and the update after the warm-up has the peak.
        rise = (done + 1.0) / (warmup_steps + 1.0)
        progress = (done - warmup_steps) / float(num_steps - warmup_steps)
        fall = factor(tf.maximum(progress, 0.0), train.schedule_options)
        return train.learning_rate * tf.minimum(rise, 1.0) * fall

    return learning_rate


def _constant(progress: tf.Tensor, options: ConstantOptions) -> tf.Tensor:
    del options
    return tf.ones_like(progress)


def _cosine(progress: tf.Tensor, options: CosineOptions) -> tf.Tensor:
    """Half a cosine from 1 to `final_fraction` (Loshchilov and Hutter, 2017)."""
    wave = 0.5 * (1.0 + tf.cos(math.pi * progress))
    return options.final_fraction + (1.0 - options.final_fraction) * wave


def _step(progress: tf.Tensor, options: StepOptions) -> tf.Tensor:
    """One factor more from each milestone on."""
    milestones = tf.constant(options.milestones, tf.float32)
    passed = tf.reduce_sum(tf.cast(progress >= milestones, tf.float32))
    return options.factor**passed


_SCHEDULES: dict[str, Callable[[tf.Tensor, Any], tf.Tensor]] = {
    "constant": _constant,
    "cosine": _cosine,
    "step": _step,
}
