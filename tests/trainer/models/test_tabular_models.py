"""Models of tables: rows are standardised inside."""

import keras
import numpy as np
import pytest

from tests.helpers.messages import refused
from trainer import models
from trainer.config import (
    APPLICATIONS,
    ApplicationOptions,
    CnnOptions,
    ConfigError,
    ConvMlpOptions,
    MlpOptions,
    ResnetCifarOptions,
    SavedOptions,
    SqueezenetOptions,
)

MEAN = np.array([3.0, -1e4, 0.0, 7.1])
VARIANCE = np.array([4.0, 1e6, 1e-6, 0.0])


def build(name="mlp", options=None, *, mean=MEAN, variance=VARIANCE, **more):
    return models.build(
        name,
        MlpOptions(hidden_sizes=(6,)) if options is None else options,
        inputs=models.Inputs(
            shape=mean.shape, mean_and_variance=(mean, variance), dtype="float32"
        ),
        num_classes=3,
        seed=0,
        precision=more.get("precision", "float32"),
        setting="student",
    )


def rows(count=5):
    rng = np.random.default_rng(1)
    return (MEAN + rng.normal(size=(count, 4)) * np.sqrt(VARIANCE)).astype(np.float32)


def standardised(given):
    """The constant last column has only its mean taken off."""
    return (given.astype(np.float64) - MEAN) / np.array([2.0, 1e3, 1e-3, 1.0])


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_rows_are_standardised_in_float32(precision):
    model = build(precision=precision)
    inner = keras.Model(model.input, model.get_layer("standardisation").output)
    expected = standardised(rows())
    np.testing.assert_allclose(inner(rows()), expected, rtol=1e-4, atol=1e-4)


def test_an_mlp_of_rows_is_numpys():
    model = build()
    kernel, bias, head, offset = (w.astype(np.float64) for w in model.get_weights())
    hidden = np.maximum(standardised(rows()) @ kernel + bias, 0)
    np.testing.assert_allclose(
        model(rows()), hidden @ head + offset, rtol=1e-4, atol=1e-4
    )


def test_a_feature_that_differs_by_rounding_alone_is_constant():
    mean, variance = np.array([1e6, 0.0]), np.array([1e-4, 1.0])
    model = build(mean=mean, variance=variance)
    layer = keras.Model(model.input, model.get_layer("standardisation").output)
    assert np.abs(layer(np.array([[1e6 + 0.0625, 0.0]], np.float32))).max() < 0.1


def test_a_saved_model_keeps_its_standardisation(tmp_path):
    model = build()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(rows()), model(rows()))


OWN = """
import keras

def linear(shape, num_classes):
    row = keras.Input(shape)
    return keras.Model(row, keras.layers.Dense(num_classes)(row))

def softmax(shape, num_classes):
    row = keras.Input(shape)
    return keras.Model(row, keras.layers.Dense(num_classes, "softmax")(row))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_tabular.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own")
def test_an_own_model_is_given_standardised_rows():
    model = build("own_tabular:linear", {})
    kernel, bias = model.get_weights()
    expected = standardised(rows()) @ kernel + bias
    np.testing.assert_allclose(model(rows()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("own")
def test_an_own_model_of_probabilities_is_refused():
    with refused(ConfigError, "student.model", "probabilities"):
        build("own_tabular:softmax", {})


IMAGE_MODELS = {
    "cnn": CnnOptions(),
    "conv_mlp": ConvMlpOptions(),
    "resnet_cifar": ResnetCifarOptions(),
    "squeezenet": SqueezenetOptions(),
    "saved": SavedOptions(path="file.keras", input="zero_to_one"),
    **dict.fromkeys(APPLICATIONS, ApplicationOptions()),
}


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_models_of_images_are_refused(name):
    with refused(ConfigError, "student.model", "table", repr(name)):
        build(name, IMAGE_MODELS[name])
