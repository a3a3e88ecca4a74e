"""Presets of KerasHub, against KerasHub itself."""

import os

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import hub_presets
from tests.helpers.messages import refused
from trainer import models
from trainer.config import ConfigError, HubOptions, load
from trainer.models.own import call_function

SHAPE = (28, 28, 1)


def images(shape=SHAPE, count=4):
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


def build(
    name, *, classes=hub_presets.CLASSES, precision="float32", input="", **inputs
):
    return models.build(
        name,
        HubOptions(input=input),
        inputs=models.Inputs(**{"shape": SHAPE} | inputs),
        num_classes=classes,
        seed=0,
        precision=precision,
        setting="teacher",
    )


def loaded(name, *, is_final=True, **options):
    """The model of a preset with the preset's weights."""
    model = build(name, **options)
    models.load_preset(model, name, is_final=is_final, setting="teacher.weights")
    return model


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """The name of a preset, and the classifier that it is of."""
    return hub_presets.write(tmp_path_factory.mktemp("preset"))


@pytest.fixture(scope="module")
def probable(tmp_path_factory):
    """The same of one that ends in a softmax, with dropout in a head of its own."""
    return hub_presets.write(
        tmp_path_factory.mktemp("vgg"), "vgg", side=28, activation="softmax"
    )


def test_a_preset_gives_what_kerashub_predicts(preset):
    name, original = preset
    model = loaded(name)
    expected = original.predict(images(), verbose=0)
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(model(images()), expected, rtol=1e-4, atol=1e-4)
    assert model.count_params() == original.count_params()


def test_the_logits_of_one_that_ends_in_a_softmax_are_before_it(probable):
    name, original = probable
    logits = loaded(name)(images(), training=False)
    assert np.abs(np.sum(logits, axis=1) - 1).min() > 1e-3
    expected = original.predict(images(), verbose=0)
    np.testing.assert_allclose(tf.nn.softmax(logits), expected, rtol=1e-4, atol=1e-5)


def test_dropout_of_the_head_is_ours(probable):
    layers = list(build(probable[0])._flatten_layers())
    assert [x.rate for x in layers if isinstance(x, models.Dropout)] == [0.2]
    assert not any(isinstance(x, keras.layers.Dropout) for x in layers)


def test_pixels_and_logits_are_float32_where_the_rest_is_bfloat16(preset):
    name, original = preset
    model = loaded(name, precision="mixed_bfloat16")
    assert model.get_layer("preprocessing").compute_dtype == "float32"
    kinds = {x.compute_dtype for x in model._flatten_layers() if "conv" in x.name}
    assert kinds == {"bfloat16"}
    logits = model(images(), training=False)
    assert logits.dtype == tf.float32
    expected = original.predict(images(), verbose=0)
    np.testing.assert_allclose(logits, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_it_comes_back_from_its_file(preset, precision):
    models.check_saving(
        lambda: build(preset[0], precision=precision), images(), setting="teacher"
    )


def test_the_same_seed_gives_the_same_weights_which_are_not_the_presets(preset):
    name, original = preset
    first, second = build(name), build(name)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.get_weights()[0], original.get_weights()[0])


def test_images_have_the_size_of_the_preprocessor_unless_one_is_set(preset):
    given = images((40, 40, 1))
    model = loaded(preset[0], shape=(40, 40, 1))
    resized = tf.image.resize(given, (28, 28), antialias=True)
    expected = preset[1].predict(resized, verbose=0)
    np.testing.assert_allclose(model(given), expected, rtol=1e-3, atol=1e-3)
    other = build(preset[0], image_size=14)
    assert other.get_layer("resize").output.shape == (None, 14, 14, 1)


def test_a_network_of_one_size_refuses_another(probable):
    assert build(probable[0], shape=(40, 40, 1)).count_params() > 0
    facts = ("teacher.image_size", probable[0], "28 x 28", 14)
    with refused(ConfigError, *facts):
        build(probable[0], image_size=14)


def test_float_images_are_brought_to_its_values(preset):
    model = loaded(
        preset[0], dtype="float32", value_range=(0.0, 1.0), input="zero_to_one"
    )
    expected = preset[1].predict(images(), verbose=0)
    given = images().astype(np.float32) / 255
    np.testing.assert_allclose(model(given), expected, rtol=1e-3, atol=1e-3)


def test_grey_images_are_given_to_a_network_of_colours(tmp_path):
    name, original = hub_presets.write(tmp_path, channels=3)
    coloured = np.repeat(images(), 3, axis=-1)
    expected = original.predict(coloured, verbose=0)
    np.testing.assert_allclose(loaded(name)(images()), expected, rtol=1e-4, atol=1e-4)
    with refused(ConfigError, "teacher.model", name, "2 channels", 3):
        build(name, shape=(28, 28, 2))


# Weights.


def test_of_other_classes_the_backbone_alone_is_taken(preset):
    name, original = preset
    model = loaded(name, is_final=False, classes=7)
    drawn = build(name, classes=7)
    *backbone, kernel, bias = model.get_weights()
    for ours, theirs in zip(backbone, original.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(kernel, drawn.get_weights()[-2])
    np.testing.assert_array_equal(bias, drawn.get_weights()[-1])
    with refused(ConfigError, "teacher.weights", "7 classes", name, "10 classes"):
        loaded(name, classes=7)


def test_a_preset_of_a_backbone_alone_has_no_head(tmp_path, preset):
    preset[1].backbone.save_to_preset(str(tmp_path))
    preset[1].preprocessor.save_to_preset(str(tmp_path))
    name = f"hub:{tmp_path}"
    model = loaded(name, is_final=False)
    np.testing.assert_array_equal(
        model.get_weights()[0], preset[1].backbone.get_weights()[0]
    )
    with refused(ConfigError, "teacher.weights", name, "no head"):
        loaded(name)


@pytest.mark.parametrize("file", ["model.weights.h5", "task.weights.h5"])
def test_a_preset_without_weights_is_refused(tmp_path, file):
    name, _ = hub_presets.write(tmp_path)
    (tmp_path / file).unlink()
    assert build(name).count_params() > 0
    lacking = {"model.weights.h5": file, "task.weights.h5": "no head"}[file]
    with refused(ConfigError, "teacher.weights", name, lacking):
        loaded(name)


def test_damaged_weights_are_refused(tmp_path):
    name, _ = hub_presets.write(tmp_path)
    path = tmp_path / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:1000])
    with refused(ConfigError, "teacher.weights", name, "save_to_preset"):
        loaded(name)


# Presets that cannot be used.


def test_a_folder_that_is_not_there_is_refused_with_where_it_may_be(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with refused(ConfigError, "teacher.model", "'hub:mine/preset'", "no such folder"):
        build("hub:mine/preset")
    hub_presets.write("mine/preset")
    assert build("hub:mine/preset").count_params() > 0


def test_a_misspelt_preset_is_refused_with_the_nearest_one():
    facts = ("teacher.model", "'hub:resnet_18_imagenett'", "'hub:resnet_18_imagenet'?")
    with refused(ConfigError, *facts):
        build("hub:resnet_18_imagenett")


def test_a_failed_download_asks_for_a_folder(monkeypatch):
    for variable in ("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    facts = ("teacher.model", "'hub:resnet_18_imagenet'", "hub:PATH")
    with refused(ConfigError, *facts):
        build("hub:resnet_18_imagenet")


def test_a_preset_of_another_task_is_refused(tmp_path):
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=10,
        num_layers=1,
        num_heads=1,
        hidden_dim=4,
        intermediate_dim=4,
        max_sequence_length=4,
    )
    backbone.save_to_preset(str(tmp_path))
    name = f"hub:{tmp_path}"
    with refused(ConfigError, "teacher.model", name, "BertBackbone"):
        build(name)


def test_one_without_a_preprocessor_is_refused(tmp_path):
    original = hub_presets.classifier()
    original.preprocessor = None
    original.save_to_preset(str(tmp_path))
    name = f"hub:{tmp_path}"
    with refused(ConfigError, "teacher.model", name, "preprocessor"):
        build(name)


def test_rows_are_refused(preset):
    statistics = (np.zeros(3), np.ones(3))
    with refused(ConfigError, "teacher.model", preset[0], "rows"):
        build(preset[0], shape=(3,), mean_and_variance=statistics, dtype="float32")


SECTIONS = """
name = "hub"
[data]
dataset = "mnist_mini"
[teacher]
model = "MODEL"
weights = "own"
[student]
model = "mlp"
train = {global_batch_size = 20, steps = 4}
"""


def read(tmp_path, *settings, model="hub:~/preset"):
    file = tmp_path / "hub.toml"
    file.write_text(SECTIONS.replace("MODEL", model))
    return load(str(file), settings)


def test_a_config_names_a_preset_and_its_weights(tmp_path):
    teacher = read(tmp_path).teacher
    assert teacher.model == f"hub:{os.path.expanduser('~')}/preset"
    assert teacher.options == HubOptions()
    assert teacher.has_weights
    assert read(tmp_path, "teacher.options.input='zero_to_one'").teacher.options.input


@pytest.mark.parametrize(
    ("model", "settings", "facts"),
    [
        ("hub:", [], ("teacher.model", "hub:FOLDER")),
        ("mlp", [], ("teacher.weights", "'own'", "'mlp'", "hub:PRESET")),
        ("hub:a", ["teacher.weights=''"], ("teacher", "[teacher.train]", "'own'")),
        ("hub:a", ["teacher.options.alpha=1"], ("teacher.options.alpha", "'hub:a'")),
    ],
)
def test_settings_that_do_not_fit_a_preset_are_refused(
    tmp_path, model, settings, facts
):
    with refused(ConfigError, *facts):
        read(tmp_path, *settings, model=model)


# Classifiers of a program or of a function.


def test_a_functions_classifier_is_behind_its_preprocessor():
    made = []

    def function(shape, num_classes):
        made.append(hub_presets.classifier(classes=num_classes))
        return made[-1]

    def call(shape):
        return call_function(
            function,
            "own:f",
            {},
            inputs=models.Inputs(shape=shape),
            num_classes=5,
            setting="teacher",
        )

    model = call(SHAPE)
    expected = made[0].predict(images(), verbose=0)
    np.testing.assert_allclose(model(images()), expected, rtol=1e-4, atol=1e-4)
    larger = call((40, 40, 1))
    assert larger(images((40, 40, 1))).shape == (4, 5)


def test_a_preprocessor_of_another_kind_is_refused():
    def function(shape, num_classes):
        model = hub_presets.classifier(classes=num_classes)
        model.preprocessor = keras.layers.Rescaling(1 / 255)
        return model

    inputs = models.Inputs(shape=SHAPE)
    facts = ("teacher.model", "'own:f'", "Rescaling", "preprocessor = None")
    with refused(ConfigError, *facts):
        call_function(
            function, "own:f", {}, inputs=inputs, num_classes=5, setting="teacher"
        )


class Doubling(keras_hub.layers.ImageConverter):
    """One that does more than its scale and offset say."""

    def call(self, inputs):
        return 2 * super().call(inputs)


def test_a_converter_that_does_more_than_scale_is_refused():
    def function(shape, num_classes):
        model = hub_presets.classifier(classes=num_classes)
        model.preprocessor.image_converter = Doubling(image_size=(28, 28))
        return model

    inputs = models.Inputs(shape=SHAPE)
    with refused(ConfigError, "teacher.model", "'own:f'", "Doubling"):
        call_function(
            function, "own:f", {}, inputs=inputs, num_classes=5, setting="teacher"
        )


def test_dropout_inside_of_a_backbone_is_found(tmp_path):
    original = keras_hub.models.ViTImageClassifier(
        backbone=keras_hub.models.ViTBackbone(
            image_shape=(8, 8, 1),
            patch_size=4,
            num_layers=1,
            num_heads=1,
            hidden_dim=4,
            mlp_dim=4,
            dropout_rate=0.1,
        ),
        num_classes=hub_presets.CLASSES,
        preprocessor=keras_hub.models.ViTImageClassifierPreprocessor(
            image_converter=keras_hub.layers.ViTImageConverter(image_size=(8, 8))
        ),
    )
    original.save_to_preset(str(tmp_path))
    found = models.random_layers(build(f"hub:{tmp_path}"))
    assert any("Dropout" in layer for layer in found)
