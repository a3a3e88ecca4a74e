"""Architectures against NumPy, and users' own models."""

import math
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.messages import assert_states, refused
from tests.helpers.small_models import (
    MNIST_SHAPE,
    SMALL,
    build,
    convolution,
    noise_images,
    randomise,
)
from trainer import models
from trainer.config import CnnOptions, ConfigError, ConvMlpOptions, MlpOptions

# Architectures.


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("cnn", CnnOptions(filters=(256, 512)), 1_433_610),
        ("cnn", CnnOptions(filters=(16, 32)), 20_490),
        ("conv_mlp", ConvMlpOptions(), 27_413_130),
        ("mlp", MlpOptions(hidden_sizes=(800, 800)), 1_276_810),
    ],
)
def test_parameter_count_on_mnist_is_the_literal(name, options, parameters):
    model = build(name, options, image_shape=MNIST_SHAPE)
    assert model.count_params() == parameters


def test_the_default_cnn_is_the_teacher_of_the_keras_example():
    assert CnnOptions().filters == (256, 512)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", SMALL)
def test_logits_are_float32(name, precision):
    model = build(name, SMALL[name], precision=precision)
    logits = model(noise_images(2, (9, 8, 2)), training=False)
    assert logits.dtype == tf.float32


@pytest.mark.parametrize("name", SMALL)
def test_all_layers_before_the_logits_compute_in_bfloat16(name):
    model = build(name, SMALL[name], precision="mixed_bfloat16")
    inner = [layer.output for layer in model.layers[1:-1]]
    outputs = keras.Model(model.input, inner)(noise_images(2, (9, 8, 2)))
    assert {output.dtype for output in outputs} == {tf.bfloat16}


@pytest.mark.parametrize("name", SMALL)
def test_weights_are_float32_where_layers_compute_in_bfloat16(name):
    model = build(name, SMALL[name], precision="mixed_bfloat16")
    assert {weight.dtype for weight in model.weights} == {"float32"}


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", SMALL)
def test_the_first_layer_maps_0_to_0_and_255_to_1(name, precision):
    model = build(name, SMALL[name], precision=precision)
    normalised = keras.Model(model.input, model.layers[1].output)
    images = np.zeros((2, 9, 8, 2), np.uint8)
    images[1] = 255
    values = np.asarray(normalised(images), np.float32)
    assert (np.unique(values[0]), np.unique(values[1])) == (0.0, 1.0)


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_is_numpys_mlp(activation):
    options = MlpOptions(hidden_sizes=(7, 5), activation=activation)
    model = build("mlp", options, image_shape=(4, 3, 2))
    weights = randomise(model)
    images = noise_images(6, (4, 3, 2))
    x = images.reshape(6, -1) / 255
    for kernel, bias in zip(weights[:4:2], weights[1:4:2], strict=True):
        x = ACTIVATIONS[activation](x @ kernel + bias)
    expected = x @ weights[4] + weights[5]
    np.testing.assert_allclose(model(images), expected, rtol=1e-5, atol=1e-5)


def stride_2_same_convolution(x, kernel, bias):
    """One output for two pixels; an odd side has a border before as well as after."""
    pads = [(side % 2, 1) for side in x.shape[1:3]]
    padded = np.pad(x, [(0, 0), *pads, (0, 0)])
    return convolution(padded, kernel, bias, stride=2)


def leaky_relu_and_pool(x):
    """Slope 0.2, then the largest of each pixel, those below and right of it."""
    x = np.where(x > 0, x, 0.2 * x)
    x = np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)], constant_values=-np.inf)
    corners = x[:, :-1, :-1], x[:, :-1, 1:], x[:, 1:, :-1], x[:, 1:, 1:]
    return np.maximum.reduce(corners)


@pytest.mark.parametrize("image_shape", [(9, 8, 2), (12, 7, 1)])
@pytest.mark.parametrize("filters", [(3,), (3, 4), (3, 4, 5)])
def test_cnn_is_numpys_cnn_without_activation_after_the_last_convolution(
    filters, image_shape
):
    model = build("cnn", CnnOptions(filters=filters), image_shape=image_shape)
    *convolutions, kernel, bias = randomise(model)
    images = noise_images(5, image_shape)
    x = stride_2_same_convolution(images / 255, *convolutions[:2])
    for i in range(2, len(convolutions), 2):
        x = stride_2_same_convolution(leaky_relu_and_pool(x), *convolutions[i : i + 2])
    expected = x.reshape(5, -1) @ kernel + bias
    np.testing.assert_allclose(model(images), expected, rtol=1e-5, atol=1e-5)


def test_conv_mlp_is_numpys():
    model = build("conv_mlp", SMALL["conv_mlp"])
    kernel, bias, *dense = randomise(model)
    images = noise_images(5, (9, 8, 2))
    x = np.maximum(convolution(images / 255, kernel, bias, stride=1), 0)
    x = x.reshape(5, -1)
    for kernel, bias in (dense[:2], dense[2:4]):
        x = np.maximum(x @ kernel + bias, 0)
    expected = x @ dense[4] + dense[5]
    np.testing.assert_allclose(model(images), expected, rtol=1e-5, atol=1e-5)


def test_max_norm_bounds_the_hidden_kernels_alone():
    model = build("mlp", MlpOptions(hidden_sizes=(6, 5), max_norm=2.0))
    kernels = {layer.name: layer.kernel for layer in model.layers if layer.weights}
    bounded = {name for name, kernel in kernels.items() if kernel.constraint}
    assert bounded == {"hidden_1", "hidden_2"}


def test_without_max_norm_no_weight_is_bounded():
    model = build("mlp", MlpOptions(hidden_sizes=(6, 5)))
    assert [weight.constraint for weight in model.weights] == [None] * 6


@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_weights(name):
    first, second = (build(name, SMALL[name], seed=3).get_weights() for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", SMALL)
def test_another_seed_gives_other_kernels(name):
    first, second = (build(name, SMALL[name], seed=s).get_weights() for s in (3, 4))
    kernels = [(a, b) for a, b in zip(first, second, strict=True) if a.ndim > 1]
    assert all((a != b).mean() > 0.99 for a, b in kernels)


def test_layers_of_one_shape_start_with_different_weights():
    model = build("mlp", MlpOptions(hidden_sizes=(6, 6, 6)))
    second, third = model.get_weights()[2], model.get_weights()[4]
    assert (second != third).all()


def test_building_restores_the_precision_of_other_models():
    build("mlp", SMALL["mlp"], precision="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"


# Models of a user's own package.

OWN_MODELS = """
import keras
from trainer import models

THREE = 3


def linear(image_shape, num_classes, *, units=4, scale=1 / 255):
    return keras.Sequential([
        keras.Input(image_shape, dtype="uint8"),
        keras.layers.Rescaling(scale),
        keras.layers.Flatten(),
        keras.layers.Dense(units),
        keras.layers.Dense(num_classes),
    ])


def one_class_less(image_shape, num_classes):
    return linear(image_shape, num_classes - 1)


def of_other_images(image_shape, num_classes):
    return linear((7, 7, 3), num_classes)


def one_logit_a_pixel(image_shape, num_classes):
    image = keras.Input(image_shape)
    return keras.Model(image, keras.layers.Dense(num_classes)(image))


def two_outputs(image_shape, num_classes):
    image = keras.Input(image_shape)
    logits = keras.layers.Dense(num_classes)(keras.layers.Flatten()(image))
    return keras.Model(image, [logits, logits])


def no_model(image_shape, num_classes):
    return lambda image: image


def probabilities(image_shape, num_classes):
    model = linear(image_shape, num_classes)
    return keras.Sequential([model, keras.layers.Softmax()])


def batch_norm(image_shape, num_classes, *, synchronized):
    norm = keras.layers.BatchNormalization(synchronized=synchronized, name="norm")
    inner = keras.Sequential([norm, keras.layers.Dense(5)])
    return keras.Sequential([inner, linear((*image_shape[:2], 5), num_classes)])


def dropped(image_shape, num_classes, *, own):
    layer = models.Dropout(0.5, stream=1) if own else keras.layers.Dropout(0.5)
    return keras.Sequential([layer, linear(image_shape, num_classes)])


class Subclassed(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(units)

    def call(self, image, training=False):
        return self.dense(self.flatten(image))


def subclassed(image_shape, num_classes):
    return Subclassed(num_classes)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Builds a model by the name of a function in an importable module."""
    (tmp_path / "own_models.py").write_text(OWN_MODELS)
    monkeypatch.syspath_prepend(tmp_path)

    def build_own(function: str, **options: object) -> keras.Model:
        return build(f"own_models:{function}", options)

    yield build_own
    sys.modules.pop("own_models", None)


def test_an_own_model_gets_shape_and_classes(own):
    model = own("linear")
    assert (model.input_shape, model.output_shape) == ((None, 9, 8, 2), (None, 10))


def test_an_own_model_gets_its_options(own):
    assert own("linear", units=7).layers[2].units == 7


def test_an_own_model_starts_from_its_seed(own):
    np.testing.assert_array_equal(
        own("linear").get_weights()[0], own("linear").get_weights()[0]
    )


def test_layers_that_nobody_names_have_the_same_names_in_each_model(own):
    """Settings and caches name them, whatever this process has built before."""
    first, second = (
        [
            layer.name
            for layer in own("batch_norm", synchronized=False)._flatten_layers()
        ]
        for _ in range(2)
    )
    assert first == second
    assert "dense" in first
    # What is put around a model has a name of its own.
    assert keras.layers.Dense(3).name not in first


def test_an_own_model_gets_its_precision(own):
    del own  # makes own_models importable
    model = build("own_models:linear", {}, precision="mixed_bfloat16")
    assert model.layers[2].compute_dtype == "bfloat16"


def test_an_own_model_may_be_a_subclass(own):
    assert own("subclassed").count_params() == 9 * 8 * 2 * 10 + 10


def test_batch_norm_of_each_replica_is_accepted(own):
    assert own("batch_norm", synchronized=False).built


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("no_such_module:f", "PYTHONPATH"),
        ("own_models.deeper:f", "PYTHONPATH"),
        ("own_broken:f", "no_such_package"),
        (":f", "package.module:function"),
        ("own_models:", "package.module:function"),
        (".own:f", "package.module:function"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused(own, name, way, tmp_path):
    del own
    (tmp_path / "own_broken.py").write_text("import no_such_package")
    with refused(ConfigError, "student.model", repr(name), way):
        build(name, {})


def test_a_misspelt_function_is_refused_with_the_nearest_one(own):
    facts = ("student.model", "'own_models:linaer'", "own_models.py", "'linear'?")
    with refused(ConfigError, *facts):
        own("linaer")


def test_a_name_that_is_no_function_is_refused(own):
    facts = ("student.model", "'own_models:THREE'", "callable")
    with refused(ConfigError, *facts):
        own("THREE")


def test_an_option_that_the_function_does_not_take_is_refused(own):
    with refused(ConfigError, "student.model", {"unit": 7}, "argument 'unit'"):
        own("linear", unit=7)


def test_what_is_no_keras_model_is_refused(own):
    with refused(ConfigError, "student.model", "keras.Model", "function"):
        own("no_model")


@pytest.mark.parametrize(
    ("function", "shape"),
    [("one_class_less", "(9,)"), ("one_logit_a_pixel", "(9, 8, 10)")],
)
def test_a_wrong_number_of_classes_is_refused(own, function, shape):
    with refused(ConfigError, "student.model", "10 logits", shape, "Dense(10)"):
        own(function)


def test_a_model_of_another_input_shape_is_refused(own):
    facts = ("student.model", "'own_models:of_other_images'", "(9, 8, 2)", "(7, 7, 3)")
    with refused(ConfigError, *facts):
        own("of_other_images")


def test_two_outputs_are_refused(own):
    facts = ("student.model", "'own_models:two_outputs'", "one output", "got 2")
    with refused(ConfigError, *facts):
        own("two_outputs")


def test_softmax_at_the_end_is_refused(own):
    facts = ("student.model", "'own_models:probabilities'", "logits", "softmax")
    with refused(ConfigError, *facts):
        own("probabilities")


def test_synchronised_batch_norm_deep_inside_is_refused(own):
    facts = ("student.model", "BatchNormalization", "norm", "synchronized=False")
    with refused(ConfigError, *facts):
        own("batch_norm", synchronized=True)


def test_a_refused_model_leaves_the_precision_of_others(own):
    del own
    with pytest.raises(ConfigError):
        build("own_models:no_model", {}, precision="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"


def test_layers_that_draw_by_keras_are_named(own):
    [layer] = models.random_layers(own("dropped", own=False))
    assert_states(layer, "Dropout")
    assert models.random_layers(own("dropped", own=True)) == []
