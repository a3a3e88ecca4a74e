"""Checkpoints of a small model with its optimizer."""

import keras
import numpy as np

from tests.helpers.devices import strategy_of
from trainer import optimizers
from trainer.config import TrainConfig
from trainer.train.checkpoint import Checkpoints


def build(units: int = 4, *, num_replicas: int = 1):
    """A model with BatchNorm and Adam's slots, all variables set to noise."""
    with strategy_of(num_replicas).scope():
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(units),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(2),
            ]
        )
        optimizer = optimizers.build_optimizer(
            TrainConfig(global_batch_size=1, steps=1)
        )
        optimizer.build(model.trainable_variables)
    return model, optimizer


def fill(model, optimizer, seed: int) -> list[np.ndarray]:
    """Gives every variable whole numbers of a seed, and returns them."""
    rng = np.random.default_rng(seed)
    values = []
    for variable in (*model.variables, *optimizer.variables):
        value = rng.integers(0, 100, variable.shape).astype(variable.dtype)
        variable.assign(value)
        values.append(value)
    return values


def open_in(folder, model, optimizer, *, run: str = "run", keep: int = 2):
    """The checkpoints of a run in a folder."""
    state = {"model": model.variables, "optimizer": optimizer.variables}
    return Checkpoints(folder, state=state, run=run, keep=keep)
