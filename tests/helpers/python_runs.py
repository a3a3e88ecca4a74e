"""Runs of a Python program, small enough for a test."""

import functools

import keras
import numpy as np
from etils import epath

import trainer
from trainer import data
from trainer.config import DataConfig

SETTINGS = {
    "data": {
        "train_split": "train[:600]",
        "validation_split": "train[9500:]",
        "test_split": "test[:500]",
    },
    "runtime": {
        "steps_per_loop": 5,
        "log_every_steps": 5,
        "eval_every_steps": 10,
        "save_every_steps": 10,
    },
}
distill = functools.partial(
    trainer.distill,
    train="mnist_mini",
    epochs=3,
    batch_size=30,
    seeds=(0, 1),
    config=SETTINGS,
)


def digits(split: str, index_dir) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split of the bundled digits."""
    config = DataConfig(dataset="mnist_mini")
    examples = data.open_source(config, epath.Path(index_dir)).read(split)
    return examples.read(np.arange(len(examples))), examples.labels


def new_teacher(seed: int = 7) -> keras.Model:
    """A teacher as people write it: compiled, with dropout, and with probabilities."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def build_student(
    input_shape: tuple[int, ...], num_classes: int, units: int = 8
) -> keras.Model:
    """A student of Keras's layers."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(num_classes),
        ]
    )


def weights(model: keras.Model) -> list[np.ndarray]:
    return [weight.numpy() for weight in model.weights]


def same(model: keras.Model, other: keras.Model) -> bool:
    """Whether all weights are the same bit for bit."""
    pairs = zip(weights(model), weights(other), strict=True)
    return all(np.array_equal(mine, its) for mine, its in pairs)


def dataset(path: str) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of an archive, as a function that a config names."""
    found = np.load(path)
    return found["x"], found["y"]
