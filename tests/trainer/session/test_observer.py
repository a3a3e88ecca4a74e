"""Keras callbacks that follow a training: what they hear of, and what they break."""

import keras
import numpy as np
import pytest
from etils import epath

from tests.helpers.messages import assert_states, refused
from trainer import data
from trainer.config import ConfigError, TrainConfig
from trainer.session.observer import Observer
from trainer.session.train_state import TrainSpec


def spec_of(*, examples: int = 100, **length) -> TrainSpec:
    """A training of a small model in batches of 10."""
    start = keras.Input((3,))
    dropped = keras.layers.Dropout(0.5)(start)
    model = keras.Model(start, keras.layers.Dense(2)(dropped))
    numbers = np.arange(examples)
    return TrainSpec(
        role="student",
        seed=0,
        section=TrainConfig(global_batch_size=10, **length),
        setting="student.train",
        folder=epath.Path("unused"),
        weights="",
        model=model,
        objective=None,
        examples=data.ArrayExamples(inputs=numbers, labels=numbers, ids=numbers),
        validate=lambda logits: {},
        views=data.Views(seed=0, count=None),
    )


class Epochs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.begun, self.ended = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.ended.append((epoch, logs.get("loss"), logs.get("train/loss")))


def heard(spec, loops, *, first_step=0):
    """What a callback hears of loops of so many steps, with their losses."""
    callback = Epochs()
    observer = Observer([callback], spec, first_step=first_step)
    observer.begin()
    for steps, loss in loops:
        observer.tell_epochs()
        metrics = {"loss": loss, "stop": 0.0}
        observer.add_steps(steps, metrics, secs=1.0)
    observer.end()
    return callback


def test_epochs_are_told_with_the_means_since_the_last():
    told = heard(spec_of(epochs=2.0), [(5, 1.0), (5, 2.0), (5, 3.0), (5, 5.0)])
    assert told.begun == [0, 1]
    assert told.ended == [(0, 1.5, 1.5), (1, 4.0, 4.0)]


def test_epochs_that_end_in_a_loop_are_told_after_it():
    told = heard(spec_of(epochs=2.5), [(20, 1.0), (5, 4.0)])
    assert [epoch for epoch, *_ in told.ended] == [0, 1, 2]
    assert [loss for _, loss, _ in told.ended] == [1.0, 1.0, 4.0]


def test_a_training_that_goes_on_tells_of_the_epochs_that_are_left():
    told = heard(spec_of(steps=30), [(5, 1.0), (10, 4.0)], first_step=15)
    assert told.begun == [1, 2]
    assert told.ended == [(1, 1.0, 1.0), (2, 4.0, 4.0)]


def test_steps_that_end_early_tell_of_what_was_whole():
    told = heard(spec_of(steps=30), [(15, 1.0)])
    assert [epoch for epoch, *_ in told.ended] == [0]


def changes(model):
    model.layers[-1].bias.assign_add([0.0, 1e-3])


def draws(model):
    model(np.ones((2, 3)), training=True)


def stops(model):
    model.stop_training = True


@pytest.mark.parametrize(
    ("action", "facts"),
    [
        (changes, ["weights"]),
        (draws, ["weights"]),
        (stops, ["model.stop_training", "student.train.patience_steps"]),
    ],
)
def test_a_callback_that_changes_the_training_is_refused(action, facts):
    spec = spec_of(steps=30)
    callback = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: action(spec.model)
    )
    observer = Observer([keras.callbacks.Callback(), callback], spec, first_step=0)
    name = "callbacks[1]"
    with refused(ConfigError, name, "LambdaCallback.on_train_begin", *facts):
        observer.begin()


def test_an_error_of_a_callback_says_whose_it_is():
    def fail(logs):
        raise KeyError("mine")

    callback = keras.callbacks.LambdaCallback(on_test_end=fail)
    observer = Observer([callback], spec_of(steps=30), first_step=0)
    observer.begin()
    with pytest.raises(KeyError, match="mine") as caught:
        observer.end_evaluation({"eval/accuracy": 0.5})
    [note] = caught.value.__notes__
    assert_states(note, "callbacks[0]", "LambdaCallback.on_test_end")
