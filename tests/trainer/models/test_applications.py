"""The classifiers of keras.applications, against Keras."""

import dataclasses
import functools
import gc
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.applications import (
    NUM_CLASSES,
    SMALL,
    SMALLEST_OF_THEIR_KIND,
    build,
    randomise,
)
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from trainer import models, prng
from trainer.config import APPLICATIONS, ApplicationOptions, ConfigError
from trainer.config.models import (
    MODELS,
    MobileNetOptions,
    MobileNetV2Options,
    MobileNetV3Options,
)
from trainer.models.imagenet import copy_weights

# Of Keras's own of all other names, with five classes, by its count_params().
PARAMETERS = {
    "ConvNeXtBase": 87_571_589,
    "ConvNeXtLarge": 196_238_021,
    "ConvNeXtSmall": 49_458_533,
    "ConvNeXtXLarge": 348_158_213,
    "DenseNet169": 12_651_205,
    "DenseNet201": 18_331_589,
    "EfficientNetB1": 6_581_644,
    "EfficientNetB2": 7_775_614,
    "EfficientNetB3": 10_791_220,
    "EfficientNetB4": 17_682_788,
    "EfficientNetB5": 28_523_772,
    "EfficientNetB6": 40_971_668,
    "EfficientNetB7": 64_110_492,
    "EfficientNetV2B1": 6_937_529,
    "EfficientNetV2B2": 8_776_419,
    "EfficientNetV2B3": 12_938_307,
    "EfficientNetV2L": 117_753_253,
    "EfficientNetV2M": 53_156_793,
    "EfficientNetV2S": 20_337_765,
    "MobileNetV3Large": 4_232_837,
    "NASNetLarge": 84_936_983,
    "ResNet101": 42_668_421,
    "ResNet101V2": 42_636_805,
    "ResNet152": 58_381_189,
    "ResNet152V2": 58_341_893,
}


@pytest.fixture
def collected():
    """Large models go with their test: their cycles would wait for one another."""
    yield
    gc.collect()


@functools.cache
def built(name):
    """One for the tests that leave it as it is."""
    return build(name)


def original(name, *, num_classes=NUM_CLASSES):
    """Keras's own, of float32 images."""
    side = APPLICATIONS[name]
    return getattr(keras.applications, name)(
        weights=None,
        input_shape=(side, side, 3),
        classes=num_classes,
        classifier_activation=None,
    )


def images(name, *, channels=3, count=2):
    rng = np.random.default_rng(2)
    side = APPLICATIONS[name]
    return rng.integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def module_of(name):
    path = getattr(keras.applications, name).__module__
    return getattr(keras.applications, path.rpartition(".")[2])


def normalised(keras_model):
    """EfficientNet as Keras has it with ImageNet weights, which need a download."""
    deviation = np.array([0.229, 0.224, 0.225])
    for layer in keras_model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign(deviation**2)
            layer.finalize_state()
    return keras_model


def test_the_names_are_those_that_keras_offers():
    offered = {
        name
        for name, value in vars(keras.applications).items()
        if inspect.isfunction(value)
    }
    assert offered == APPLICATIONS.keys()
    assert offered == {*SMALL, *SMALLEST_OF_THEIR_KIND, *PARAMETERS}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_refuses_a_pixel_less_than_the_smallest_image(name):
    side = APPLICATIONS[name]
    function = getattr(keras.applications, name)
    with pytest.raises(ValueError, match=f"at least {side}"):
        function(weights=None, input_shape=(side - 1, side, 3), classes=2)


def test_a_smaller_image_is_refused():
    facts = ("'Xception'", "71 x 71", "70 x 70", "data.image_size")
    with refused(ConfigError, *facts):
        build("Xception", size=70)


def check(name):
    """Logits are Keras's own on preprocessed images, and parameters as many."""
    model, expected = build(name), normalised(original(name))
    assert model.count_params() == expected.count_params()
    randomise(expected)
    copy_weights(expected, model)
    given = images(name)
    preprocessed = module_of(name).preprocess_input(given.astype(np.float32))
    logits = forward(model, given)
    assert np.isfinite(logits).all()
    # What tells the images apart, and not what all of them share.
    differences = np.diff(logits, axis=0)
    scale = np.abs(differences).max()
    assert scale > 1e-3 * np.abs(logits).max()
    actual = np.diff(forward(expected, preprocessed), axis=0)
    np.testing.assert_allclose(differences / scale, actual / scale, atol=0.02)


def forward(model, given):
    def run(inputs):
        return model(inputs, training=False)

    # Keras would compile each of its grouped convolutions alone.
    if model.name.lower().startswith("convnext"):
        run = tf.function(run, jit_compile=True, autograph=False)
    return run(given).numpy()


@pytest.mark.parametrize("name", SMALL)
def test_a_small_one_is_keras_own_on_preprocessed_images(name):
    check(name)


@pytest.mark.slow
@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("name", SMALLEST_OF_THEIR_KIND)
def test_the_smallest_of_a_kind_is_keras_own_on_preprocessed_images(name):
    check(name)


@pytest.mark.slow
@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("name", PARAMETERS)
def test_every_other_one_has_finite_logits_and_keras_number_of_parameters(name):
    model = build(name)
    assert model.count_params() == PARAMETERS[name]
    logits = forward(model, images(name))
    assert logits.shape == (2, NUM_CLASSES)
    assert np.isfinite(logits).all()


@pytest.mark.slow
def test_grey_is_three_equal_colours():
    name = "MobileNetV3Small"
    grey = images(name, channels=1)
    model, coloured = build(name, channels=1), built(name)
    model.set_weights(coloured.get_weights())
    expected = coloured(np.repeat(grey, 3, axis=-1), training=False)
    np.testing.assert_allclose(model(grey, training=False), expected, atol=1e-6)


def test_two_channels_are_refused():
    with refused(ConfigError, "'MobileNetV3Small'", "1 or 3 channels", 2):
        build("MobileNetV3Small", channels=2)


@pytest.mark.parametrize(
    "name",
    ["MobileNetV3Small", pytest.param("EfficientNetB0", marks=pytest.mark.slow)],
)
def test_pixels_and_logits_are_float32_where_the_rest_is_bfloat16(name):
    model = build(name, precision="mixed_bfloat16")
    dtypes = [
        (type(layer).__name__, layer.compute_dtype)
        for layer in model.layers
        if isinstance(layer, keras.layers.Layer)
    ]
    assert {t for kind, t in dtypes if kind in ("Rescaling", "Normalization")} == {
        "float32"
    }
    assert {t for kind, t in dtypes if kind == "BatchNormalization"} == {"bfloat16"}
    assert models.head(model).compute_dtype == "float32"
    assert model(images(name), training=False).dtype == tf.float32


def test_batch_norm_has_the_momentum_of_the_options():
    model = models.build(
        "MobileNetV2",
        ApplicationOptions(batch_norm_momentum=0.7),
        inputs=models.Inputs(shape=(32, 32, 3)),
        num_classes=2,
        seed=0,
        precision="float32",
        setting="teacher",
    )
    momenta = {
        layer.momentum
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {0.7}


@pytest.mark.parametrize(
    ("name", "options", "keras_options"),
    [
        pytest.param(
            "MobileNetV2",
            MobileNetV2Options(alpha=0.35),
            {"alpha": 0.35},
            marks=pytest.mark.slow,
        ),
        (
            "MobileNet",
            MobileNetOptions(alpha=0.25, depth_multiplier=2, dropout=0.3),
            {"alpha": 0.25, "depth_multiplier": 2, "dropout": 0.3},
        ),
        pytest.param(
            "MobileNetV3Small",
            MobileNetV3Options(minimalistic=True, dropout_rate=0.4),
            {"minimalistic": True, "dropout_rate": 0.4},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_options_of_keras_are_passed_on(name, options, keras_options):
    model = build(name, options=options)
    side = APPLICATIONS[name]
    expected = getattr(keras.applications, name)(
        weights=None,
        input_shape=(side, side, 3),
        classes=NUM_CLASSES,
        **keras_options,
    )
    assert [w.shape for w in model.weights] == [w.shape for w in expected.weights]
    rates = [x.rate for x in expected.layers if isinstance(x, keras.layers.Dropout)]
    assert [layer.rate for layer in dropouts(model)] == rates


def test_each_argument_of_keras_is_an_option():
    others = {"include_top", "weights", "input_tensor", "input_shape", "pooling"}
    others |= {"classes", "classifier_activation", "name", "include_preprocessing"}
    for name in APPLICATIONS:
        signature = inspect.signature(getattr(keras.applications, name))
        fields = {field.name for field in dataclasses.fields(MODELS[name])}
        of_all = {field.name for field in dataclasses.fields(ApplicationOptions)}
        assert fields - of_all == signature.parameters.keys() - others, name


def dropouts(model):
    return [layer for layer in model.layers if isinstance(layer, models.Dropout)]


@pytest.mark.parametrize(
    "name",
    ["MobileNetV3Small", pytest.param("EfficientNetB0", marks=pytest.mark.slow)],
)
def test_dropout_is_ours_with_keras_rates_and_a_stream_each(name):
    model = built(name)
    expected = [
        (layer.name, layer.rate, layer.noise_shape is not None)
        for layer in original(name).layers
        if isinstance(layer, keras.layers.Dropout)
    ]
    layers = dropouts(model)
    assert [layer.rate for layer in layers] == [rate for _, rate, _ in expected]
    assert [layer.per_example for layer in layers] == [whole for *_, whole in expected]
    assert len({layer.stream for layer in layers}) == len(layers) > 0
    assert not any(
        isinstance(layer, keras.layers.Dropout) for layer in model._flatten_layers()
    )


@pytest.mark.slow
def test_masks_of_a_branch_do_not_depend_on_the_batch():
    model = build("EfficientNetB0")
    for layer in model.layers:  # as in inference, so that examples do not meet
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    given, keys = images("EfficientNetB0", count=4), prng.key(1, tf.range(4))
    with models.dropout_keys(keys):
        together = model(given, training=True).numpy()
    with models.dropout_keys(keys[2:3]):
        alone = model(given[2:3], training=True).numpy()
    scale = np.abs(together).max()
    np.testing.assert_allclose(alone[0] / scale, together[2] / scale, atol=1e-3)


@pytest.mark.slow
def test_a_saved_model_is_the_same_in_training_and_inference(tmp_path):
    model = build("EfficientNetB0")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    given = images("EfficientNetB0", count=4)
    for training in (False, True):
        with models.dropout_keys(prng.key(1, tf.range(4))):
            expected, actual = (m(given, training=training) for m in (model, loaded))
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.slow
@pytest.mark.parametrize("xla", [False, True])
def test_both_replicas_give_the_logits_of_one_device(xla):
    name = "EfficientNetB0"
    alone, strategy = build(name), strategy_of(2)
    with strategy.scope():
        model = build(name)

    @tf.function(jit_compile=xla, autograph=False)
    def logits(given):
        return model(given, training=False)

    @tf.function(autograph=False)
    def both(given):
        results = strategy.run(lambda x: logits(x), args=(given,))
        return strategy.experimental_local_results(results)

    expected = alone(images(name), training=False).numpy()
    scale = np.abs(expected).max()
    for actual in both(tf.constant(images(name))):
        np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-3)


def test_the_same_seed_gives_the_same_weights():
    first, second = build("MobileNetV3Small"), built("MobileNetV3Small")
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# Weights.


def load(model, path):
    models.load_weights(model, str(path), setting="teacher.weights")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param("MobileNet", marks=pytest.mark.slow), "MobileNetV3Small"],
)
def test_weights_that_keras_saved_fit(name, tmp_path):
    keras_model = original(name)
    randomise(keras_model)
    keras_model.save_weights(tmp_path / "keras.weights.h5")
    model = build(name)
    load(model, tmp_path / "keras.weights.h5")
    for ours, theirs in zip(model.weights, keras_model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_weights_for_images_normalised_otherwise_are_refused(tmp_path):
    original("EfficientNetB0").save_weights(tmp_path / "keras.weights.h5")
    path = tmp_path / "keras.weights.h5"
    with refused(ConfigError, "teacher.weights", repr(str(path)), "normalised"):
        load(build("EfficientNetB0"), path)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_weights_of_another_class_count_are_refused_with_both_counts(suffix, tmp_path):
    path = tmp_path / f"seven{suffix}"
    model = build("MobileNetV3Small", num_classes=7)
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    facts = ("teacher.weights", "5 classes", repr(str(path)), "7 classes")
    with refused(ConfigError, *facts):
        load(built("MobileNetV3Small"), path)


@pytest.mark.slow
def test_the_backbone_alone_is_copied_where_classes_differ():
    model = build("MobileNetV2")
    head = [weight.numpy() for weight in models.head(model).weights]
    backbone = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(96, 96, 3)
    )
    randomise(backbone)
    copy_weights(backbone, model)
    copied = model.weights[: len(backbone.weights)]
    for ours, theirs in zip(copied, backbone.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for before, after in zip(head, models.head(model).weights, strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.slow
def test_layers_of_another_shape_are_not_copied():
    big = keras.applications.VGG16(weights=None, input_shape=(64, 64, 3), classes=5)
    with refused(ValueError, "'fc1'", "shapes"):
        copy_weights(big, build("VGG16"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["MobileNetV3Small", pytest.param("Xception", marks=pytest.mark.slow)]
)
def test_a_failed_download_asks_for_a_path(name, monkeypatch):
    for variable in ("https_proxy", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    model = built(name)
    facts = ("teacher.weights", "'imagenet'", "download", ".keras", ".weights.h5")
    with refused(ConfigError, *facts):
        load(model, "imagenet")
    # Those that Keras has no weights of are told.
    options = {"minimalistic": True, "alpha": 0.5}
    with refused(ConfigError, "teacher.weights", options):
        models.load_weights(
            build("MobileNetV3Small"),
            "imagenet",
            setting="teacher.weights",
            options=options,
        )
