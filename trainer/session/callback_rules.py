"""Keras callbacks that a run can have: those that read, between steps.

What a resumed run and its other replicas would not have done alike is refused.
"""

from collections.abc import Sequence
from typing import Any

import keras

from trainer.config import ConfigError

# Keras's own that change the training, or need what a run has not; and what to do.
_SETTINGS = {
    "BackupAndRestore": "leave it out: a run called again with its workdir goes on",
    "EarlyStopping": "set student.train.patience_steps, and the best weights are kept",
    "LearningRateScheduler": "set student.train.schedule and its schedule_options",
    "ModelCheckpoint": "leave it out: the workdir keeps checkpoints, the last model "
    "and the one that is best on validation; runtime.save_every_steps says how often",
    "OrbaxCheckpoint": "leave it out: the workdir keeps checkpoints",
    "ProgbarLogger": "leave it out: progress is shown",
    "ReduceLROnPlateau": "set student.train.schedule, such as 'cosine' or 'step'",
    "SwapEMAWeights": "set student.train.ema",
    "TensorBoard": "leave it out: with tensorboard installed the workdir has its files",
    "TerminateOnNaN": "leave it out: a training that diverges ends with DivergedError",
}
_BATCH_HOOKS = (
    *("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    *("on_test_batch_begin", "on_test_batch_end"),
)


def check_callbacks(callbacks: Sequence[Any]) -> None:
    """Looks whether callbacks are of those that a run can have.

    Raises:
      ConfigError: one is not; it names it, and the setting that does the same.
    """
    for i, callback in enumerate(callbacks):
        setting, name = f"callbacks[{i}]", type(callback).__name__
        if not isinstance(callback, keras.callbacks.Callback):
            raise ConfigError(
                f"{setting} must be a keras.callbacks.Callback, got a {name}; give "
                "keras.callbacks.LambdaCallback(on_epoch_end=FUNCTION)"
            )
        for kind in type(callback).__mro__:
            of_keras = kind.__module__.startswith("keras.")
            if of_keras and kind.__name__ in _SETTINGS:
                raise ConfigError(
                    f"{setting} must only read, for a run that goes on and its "
                    f"replicas would not follow it, got {name}; "
                    f"{_SETTINGS[kind.__name__]}"
                )
        of_batches = [hook for hook in _BATCH_HOOKS if has_hook(callback, hook)]
        if of_batches:
            raise ConfigError(
                f"{setting} must do without hooks of batches, for several steps are "
                f"taken together on the devices, got {name} with "
                f"{', '.join(of_batches)}; use on_epoch_end or on_test_end"
            )


def has_hook(callback: keras.callbacks.Callback, hook: str) -> bool:
    """Whether a callback does something in a hook."""
    own = getattr(type(callback), hook)
    return hook in vars(callback) or own is not getattr(keras.callbacks.Callback, hook)
