"""Keras callbacks of a program, which follow the training of a student."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from trainer.config import ConfigError
from trainer.session.callback_rules import has_hook
from trainer.session.train_state import TrainSpec
from trainer.train.loop import MetricAccumulator, Metrics

_INTEGERS = {1: tf.int8, 2: tf.int16, 4: tf.int32, 8: tf.int64}  # of so many bytes


class Observer:
    """The callbacks, told of epochs and evaluations once all of a step is saved.

    An epoch that ends within a loop of steps is told at the end of that loop. Metrics
    have our names, and those of Keras beside them: "train/loss" and "loss",
    "eval/accuracy" and "val_accuracy".
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        spec: TrainSpec,
        *,
        first_step: int,
    ) -> None:
        self._callbacks = tuple(callbacks)
        self._model = spec.model
        self._batch_size = spec.section.global_batch_size
        self._steps_per_epoch = spec.epoch_steps
        self._num_steps = spec.num_steps
        epochs = spec.section.epochs or spec.num_steps / self._steps_per_epoch
        self._num_epochs = math.ceil(epochs)
        self._step = first_step
        self._told = self._ended()  # epochs
        self._training = MetricAccumulator()  # of the steps since then
        self._evaluation: Metrics = {}

    def begin(self) -> None:
        """Tells that the training begins, or goes on."""
        if not self._callbacks:
            return
        self._model.stop_training = False
        steps = math.ceil(self._steps_per_epoch)
        for callback in self._callbacks:
            callback.set_params(
                {"epochs": self._num_epochs, "steps": steps, "verbose": 0}
            )
            callback.set_model(self._model)
        self._call("on_train_begin", {})
        if self._told < self._num_epochs:
            self._call("on_epoch_begin", self._told, {})

    def add_steps(self, num_steps: int, metrics: Metrics, *, secs: float) -> None:
        """Takes the means of the metrics of the next steps."""
        if not self._callbacks:
            return
        self._step += num_steps
        kept = {name: value for name, value in metrics.items() if name != "stop"}
        self._training = self._training.add(kept, num_steps=num_steps, secs=secs)

    def begin_evaluation(self) -> None:
        """Tells that the validation split is predicted."""
        self._call("on_test_begin", {})

    def end_evaluation(self, metrics: Metrics) -> None:
        """Tells what came out."""
        self._evaluation = dict(metrics)
        plain = {name.removeprefix("eval/"): value for name, value in metrics.items()}
        self._call("on_test_end", {**metrics, **plain})

    def tell_epochs(self) -> None:
        """Tells of the epochs that have ended since."""
        ended = self._ended()
        if ended == self._told:
            return
        logs = self._logs()
        for epoch in range(self._told, ended):
            self._call("on_epoch_end", epoch, logs)
            if epoch + 1 < self._num_epochs:
                self._call("on_epoch_begin", epoch + 1, {})
        self._told, self._training, self._evaluation = ended, MetricAccumulator(), {}

    def end(self) -> None:
        """Tells that the training has ended."""
        self.tell_epochs()
        self._call("on_train_end", {})

    def _ended(self) -> int:
        if self._step >= self._num_steps:
            return self._num_epochs
        # A whole number of steps may be an epoch but for rounding.
        return math.floor(self._step / self._steps_per_epoch + 1e-9)

    def _logs(self) -> Metrics:
        means: Metrics = {}
        if self._training.num_steps:
            means = self._training.means(self._batch_size)
        plain = {
            name.removeprefix("train/"): value
            for name, value in means.items()
            if name.startswith("train/")
        }
        validation = {
            name.replace("eval/", "val_", 1): value
            for name, value in self._evaluation.items()
        }
        return {**means, **self._evaluation, **plain, **validation}

    def _call(self, hook: str, *arguments: object) -> None:
        for i, callback in enumerate(self._callbacks):
            if not has_hook(callback, hook):
                continue
            name = f"callbacks[{i}], {type(callback).__name__}.{hook},"
            before = _sums(self._model)
            try:
                getattr(callback, hook)(*arguments)
            except Exception as error:
                error.add_note(f"{name} raised this")
                raise
            if self._model.stop_training:
                raise ConfigError(
                    f"{name} must only read, got model.stop_training = True; set "
                    "student.train.patience_steps, steps or epochs, by which a run "
                    "that goes on ends alike"
                )
            if _sums(self._model) != before:
                raise ConfigError(
                    f"{name} must only read, got other weights of the student than "
                    "before, which replicas and a run that goes on would not have; "
                    "leave the change out"
                )


def _sums(model: keras.Model) -> list[int]:
    """Sums of the bits of each variable, which no order of addition rounds."""
    found = []
    for variable in model.variables:
        value = tf.convert_to_tensor(variable.value)
        if value.dtype != tf.bool:
            value = tf.bitcast(value, _INTEGERS[value.dtype.size])
        found.append(int(tf.reduce_sum(tf.cast(value, tf.int64))))
    return found
