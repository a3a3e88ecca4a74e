"""Float images: models must be told their values, and see them as they would bytes."""

import keras
import numpy as np
import pytest

from tests.helpers.messages import refused
from trainer import models
from trainer.config import (
    ApplicationOptions,
    CnnOptions,
    ConfigError,
    ConvMlpOptions,
    MlpOptions,
    ResnetCifarOptions,
    SavedOptions,
    SqueezenetOptions,
)

SHAPE = (32, 32, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)
MEAN = np.array([0.485, 0.456, 0.406])
DEVIATION = np.array([0.229, 0.224, 0.225])
CAFFE_MEAN = np.array([103.939, 116.779, 123.68])

# The same images in each range, as NumPy has it.
VALUES = {
    "zero_to_255": IMAGES.astype(np.float32),
    "zero_to_one": IMAGES / 255,
    "minus_one_to_one": IMAGES / 127.5 - 1,
    "imagenet_torch": (IMAGES / 255 - MEAN) / DEVIATION,
    "imagenet_caffe": IMAGES[..., ::-1] - CAFFE_MEAN,
}


def build(name, options, *, images=None, **more):
    inputs = {}
    if images is not None:
        ends = (float(images.min()), float(images.max()))
        inputs = {"dtype": "float32", "value_range": ends}
    return models.build(
        name,
        options,
        inputs=models.Inputs(**({"shape": SHAPE} | inputs | more)),
        num_classes=5,
        seed=3,
        precision="float32",
        setting="student",
    )


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mlp", MlpOptions(hidden_sizes=(4,))),
        ("cnn", CnnOptions(filters=(4, 4))),
        ("conv_mlp", ConvMlpOptions(filters=2, hidden_sizes=(4,))),
        ("squeezenet", SqueezenetOptions()),
        ("resnet_cifar", ResnetCifarOptions(depth=8, widths=(4, 4, 4, 4))),
        pytest.param("MobileNetV2", ApplicationOptions(), marks=pytest.mark.slow),
        pytest.param("ResNet50", ApplicationOptions(), marks=pytest.mark.slow),
    ],
)
def test_a_model_sees_floats_as_it_sees_bytes(name, options, values):
    expected = build(name, options)(IMAGES, training=False)
    images = VALUES[values].astype(np.float32)
    told = type(options)(**{**vars(options), "input": values})
    model = build(name, told, images=images)
    assert model.inputs[0].dtype == "float32"
    found = model(images, training=False)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_floats_are_not_guessed():
    images = VALUES["zero_to_one"].astype(np.float32)
    facts = ("student.options.input", "'cnn'", "float32", "0 to 1", "'zero_to_one'")
    with refused(ConfigError, *facts):
        build("cnn", CnnOptions(), images=images)


@pytest.mark.parametrize(
    ("told", "values"),
    [
        ("zero_to_one", "zero_to_255"),
        ("zero_to_one", "minus_one_to_one"),
        ("zero_to_255", "zero_to_one"),
        ("minus_one_to_one", "imagenet_torch"),
        ("imagenet_torch", "imagenet_caffe"),
    ],
)
def test_what_is_told_of_floats_must_be_so(told, values):
    images = VALUES[values].astype(np.float32)
    with refused(ConfigError, "student.options.input", f"'{told}'"):
        build("cnn", CnnOptions(input=told), images=images)
    # What resizing adds to a range is no other one.
    build("cnn", CnnOptions(filters=(2,), input=values), images=images * 1.02)


def test_bytes_and_rows_need_no_word():
    with refused(ConfigError, "student.options.input", "'zero_to_one'"):
        build("cnn", CnnOptions(input="zero_to_one"))
    row = np.ones(3, np.float32)
    with refused(ConfigError, "student.options.input", "'zero_to_one'"):
        models.build(
            "mlp",
            MlpOptions(input="zero_to_one"),
            inputs=models.Inputs(
                shape=(3,), mean_and_variance=(row, row), dtype="float32"
            ),
            num_classes=5,
            seed=0,
            precision="float32",
            setting="student",
        )


def test_a_sequence_is_for_models_of_ones_own():
    inputs = models.Inputs(shape=(7, 3), dtype="float32", value_range=(0.0, 1.0))
    with refused(ConfigError, "student.model", "[7, 3]", "'cnn'", "x[..., None]"):
        models.build(
            "cnn",
            CnnOptions(input="zero_to_one"),
            inputs=inputs,
            num_classes=5,
            seed=0,
            precision="float32",
            setting="student",
        )
    examples = inputs.examples()
    assert (examples.shape, examples.dtype) == ((4, 7, 3), np.float32)
    assert (examples.min(), examples.max()) == (0, 1)


@pytest.mark.parametrize(
    ("shape", "values"),
    [(SHAPE, "zero_to_one"), (SHAPE, "minus_one_to_one"), ((7, 3), "zero_to_one")],
)
def test_a_saved_model_gets_floats_as_they_are(tmp_path, shape, values):
    own = keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(5)]
    )
    own.save(tmp_path / "own.keras")
    low = -1.0 if values == "minus_one_to_one" else 0.0
    images = np.random.default_rng(1).uniform(low, 1, (4, *shape)).astype(np.float32)
    options = SavedOptions(path=str(tmp_path / "own.keras"), input=values)
    model = build("saved", options, images=images, shape=shape)
    np.testing.assert_array_equal(model(images), own(images))
    other = SavedOptions(path=options.path, input="zero_to_255")
    with refused(ConfigError, "student.options.input", "'zero_to_255'"):
        build("saved", other, images=images, shape=shape)
