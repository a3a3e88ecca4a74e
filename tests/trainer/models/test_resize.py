"""Resizing inside models, against TensorFlow's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import whole_run
from tests.helpers.messages import refused
from trainer import models
from trainer.config import CnnOptions, ConfigError, ConvMlpOptions, MlpOptions
from trainer.models.resize import Resize, ToUint8, resize_matrix

SIZES = [(5, 12), (7, 9), (3, 3), (1, 1), (20, 31), (14, 4)]


def images(shape=(7, 9, 3), count=4):
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


CNN = CnnOptions(filters=(3,))


def build(image_size, *, model="cnn", options=CNN, shape=(9, 9, 1)):
    return models.build(
        model,
        options,
        inputs=models.Inputs(shape=shape, image_size=image_size),
        num_classes=5,
        seed=1,
        precision="float32",
        setting="student",
    )


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_tensorflows_with_antialias(size):
    expected = tf.image.resize(images(), size, antialias=True)
    resized = Resize(*size, dtype="float32")(images())
    np.testing.assert_allclose(resized, expected, atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_legal_under_xla(size):
    layer = Resize(*size, dtype="float32")
    compiled = tf.function(layer, jit_compile=True, autograph=False)
    np.testing.assert_allclose(compiled(images()), layer(images()), atol=1e-3)


@pytest.mark.parametrize(("size", "new_size"), [(7, 3), (3, 7), (5, 5), (640, 224)])
def test_a_plain_image_stays_as_it_is(size, new_size):
    rows = resize_matrix(size, new_size).sum(axis=1)
    np.testing.assert_allclose(rows, 1, rtol=1e-6)


def test_resizing_to_the_same_size_changes_nothing():
    np.testing.assert_array_equal(Resize(7, 9, dtype="float32")(images()), images())


def test_whole_numbers_are_the_nearest():
    values = np.array([[0.4, 0.6, 254.4, 254.6, 253.0]], np.float32)
    assert ToUint8()(values).numpy().tolist() == [[0, 1, 254, 255, 253]]


def test_whole_numbers_are_the_nearest_where_models_compute_in_bfloat16():
    values = np.array([[101.49, 202.6]], np.float32)
    layer = ToUint8(dtype="mixed_bfloat16")
    assert layer(values).numpy().tolist() == [[101, 203]]


@pytest.mark.parametrize("image_size", [5, 17])
def test_a_model_of_another_size_is_the_model_on_resized_images(image_size):
    model = build(image_size)
    same = build(0, shape=(image_size, image_size, 1))
    inner = keras.Model(model.get_layer("rescaling").output, model.output)
    same.set_weights(model.get_weights())
    given = images((9, 9, 1))
    size = (image_size, image_size)
    resized = tf.image.resize(given, size, antialias=True)
    expected = inner(resized / 255)
    np.testing.assert_allclose(model(given), expected, rtol=1e-4, atol=1e-4)
    assert model.count_params() == same.count_params()


def test_the_datas_own_size_needs_no_resizing():
    names = [[layer.name for layer in build(size).layers] for size in (0, 9)]
    assert names[0] == names[1]
    assert "resize" not in names[0]


def test_images_are_resized_in_float32_where_models_compute_in_bfloat16():
    model = models.build(
        "cnn",
        CnnOptions(filters=(3,)),
        inputs=models.Inputs(shape=(9, 9, 1), image_size=6),
        num_classes=5,
        seed=0,
        precision="mixed_bfloat16",
        setting="student",
    )
    resized = keras.Model(model.input, model.get_layer("resize").output)
    expected = tf.image.resize(images((9, 9, 1)), (6, 6), antialias=True)
    np.testing.assert_allclose(resized(images((9, 9, 1))), expected, atol=1e-3)


def test_a_saved_model_keeps_its_resizing(tmp_path):
    model = build(6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    given = images((9, 9, 1))
    np.testing.assert_array_equal(loaded(given), model(given))


OWN = """
import keras

def linear(shape, num_classes):
    image = keras.Input(shape, dtype="uint8")
    pixels = keras.layers.Flatten()(image)
    return keras.Model(image, keras.layers.Dense(num_classes)(pixels))
"""


def test_an_own_model_of_another_size_gets_whole_numbers(tmp_path, monkeypatch):
    (tmp_path / "own_resized.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    model = build(6, model="own_resized:linear", options={})
    kernel, bias = model.get_weights()
    given = images((9, 9, 1))
    resized = tf.image.resize(given, (6, 6), antialias=True).numpy().round()
    expected = resized.reshape(4, -1) @ kernel + bias
    np.testing.assert_allclose(model(given), expected, rtol=1e-4, atol=1e-3)


def test_a_size_that_leaves_nothing_of_the_image_is_refused():
    with refused(ConfigError, "student.image_size", "'conv_mlp'", (2, 2, 1)):
        build(2, model="conv_mlp", options=ConvMlpOptions(hidden_sizes=(3,)))


def test_a_table_is_not_resized():
    row = np.ones(3, np.float32)
    with refused(ConfigError, "student.image_size", 0, "table", 6):
        models.build(
            "mlp",
            MlpOptions(hidden_sizes=(4,)),
            inputs=models.Inputs(
                shape=(3,),
                mean_and_variance=(row, row),
                dtype="float32",
                image_size=6,
            ),
            num_classes=5,
            seed=0,
            precision="float32",
            setting="student",
        )


@pytest.mark.slow
def test_teacher_and_student_work_at_sizes_of_their_own(tmp_path, tfds_dir):
    config = whole_run.write_config(tmp_path, tfds_dir)
    sizes = ["--set=teacher.image_size=14", "--set=student.image_size=36"]
    short = [f"--set={role}.train.steps=20" for role in ("teacher", "student")]
    sets = (*sizes, *short, "--set=seeds=[0]")
    assert whole_run.do("run", config, tmp_path / "run", *sets)[0] == 0
    kernels = [
        next(w.shape for w in whole_run.weights(tmp_path / "run" / path) if w.ndim == 2)
        for path in ("teacher/model.keras", "student/seed-0/model.keras")
    ]
    # The head of two stride-2 convolutions with a pool of stride 1, and 36 pixels.
    assert kernels == [(4 * 4 * 16, 10), (36 * 36, 16)]
