"""Saved models that take what the data yield."""

import keras
import numpy as np
import pytest

from tests.helpers.messages import refused
from trainer import models
from trainer.config import ConfigError, SavedOptions


def build(path, shape, *, dtype="float32", told="as_given", **more):
    return models.build(
        "saved",
        SavedOptions(path=str(path), input=told),
        inputs=models.Inputs(shape=shape, dtype=dtype, **more),
        num_classes=3,
        seed=0,
        precision="float32",
        setting="teacher",
    )


def save(folder, shape):
    start = keras.Input(shape)
    saved = keras.Model(start, keras.layers.Dense(3)(keras.layers.Flatten()(start)))
    saved.save(folder / "saved.keras")
    return saved, folder / "saved.keras"


ROWS = {"mean_and_variance": (np.full(5, 7.0), np.full(5, 2.0))}


@pytest.mark.parametrize(
    ("shape", "dtype", "more"),
    [
        ((6, 5, 3), "uint8", {}),
        ((6, 5, 3), "float32", {"value_range": (-90.0, 90.0)}),
        ((6, 5), "uint8", {}),
        ((2, 3, 4, 5), "float32", {"value_range": (0.0, 1.0)}),
        ((5,), "float32", ROWS),
        ((5,), "float64", ROWS),
    ],
)
def test_values_are_as_the_data_have_them(shape, dtype, more, tmp_path):
    saved, path = save(tmp_path, shape)
    model = build(path, shape, dtype=dtype, **more)
    assert (model.input.shape[1:], model.input.dtype) == (shape, dtype)
    x = np.random.default_rng(0).integers(0, 90, (4, *shape)).astype(dtype)
    np.testing.assert_allclose(model(x), saved(x.astype("float32")), rtol=1e-5)


def test_values_of_images_say_nothing_of_rows(tmp_path):
    _, path = save(tmp_path, (5,))
    facts = ("teacher.model", "options.input = 'as_given'", "'saved'", "rows")
    with refused(ConfigError, *facts):
        build(path, (5,), told="zero_to_one", **ROWS)


@pytest.mark.parametrize(
    ("told", "of_saved"),
    [("as_given", "as_given"), ("imagenet_torch", "zero_to_255")],
)
def test_a_model_trained_from_it_takes_the_data_too(told, of_saved):
    options = SavedOptions(path="a.keras", input=told, output="probabilities")
    expected = SavedOptions(path="b.keras", input=of_saved, output="logits")
    assert options.of_saved("b.keras") == expected
