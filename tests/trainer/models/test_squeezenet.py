"""SqueezeNet against its paper and NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.messages import refused
from trainer import models, prng
from trainer.config import ConfigError, SqueezenetOptions


def build(*, shape=(31, 31, 3), num_classes=6, precision="float32", dropout=0.5):
    return models.build(
        "squeezenet",
        SqueezenetOptions(dropout=dropout),
        inputs=models.Inputs(shape=shape),
        num_classes=num_classes,
        seed=0,
        precision=precision,
        setting="student",
    )


def images(shape=(31, 31, 3), count=3):
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


def test_parameters_are_those_of_version_1_1():
    model = build(shape=(224, 224, 3), num_classes=1000)
    assert model.count_params() == 1_235_496


def test_the_maps_of_an_imagenet_image_have_the_papers_sizes():
    model = build(shape=(224, 224, 3), num_classes=1000)
    names = ("conv1", "fire2_concat", "fire4_concat", "fire6_concat", "conv10")
    maps = [model.get_layer(name).output.shape[1:] for name in names]
    assert maps == [
        (111, 111, 64),
        (55, 55, 128),
        (27, 27, 256),
        (13, 13, 384),
        (13, 13, 1000),
    ]


def test_the_output_of_fire2_is_numpys():
    model = build(shape=(35, 33, 3))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    names = ("pool_before_fire2", "fire2_concat")
    parts = keras.Model(model.input, [model.get_layer(name).output for name in names])
    pooled, result = (part.numpy() for part in parts(images((35, 33, 3))))
    squeeze, expand1, expand3 = (
        [weight.numpy() for weight in model.get_layer(f"fire2_{name}").weights]
        for name in ("squeeze", "expand1", "expand3")
    )
    few = np.maximum(pooled @ squeeze[0][0, 0] + squeeze[1], 0)
    narrow = np.maximum(few @ expand1[0][0, 0] + expand1[1], 0)
    padded = np.pad(few, [(0, 0), (1, 1), (1, 1), (0, 0)])
    height, width = few.shape[1:3]
    wide = sum(
        padded[:, i : i + height, j : j + width] @ expand3[0][i, j]
        for i in range(3)
        for j in range(3)
    )
    expected = np.concatenate([narrow, np.maximum(wide + expand3[1], 0)], axis=-1)
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3)


def test_logits_are_the_last_maps_averaged_and_may_be_negative():
    model = build(shape=(64, 64, 3), num_classes=50)
    maps = keras.Model(model.input, model.get_layer("conv10").output)
    given = images((64, 64, 3))
    expected = maps(given).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(model(given), expected, rtol=1e-4, atol=1e-5)
    assert (expected < 0).any()


def test_kernels_start_with_the_variance_of_he():
    kernel = build(shape=(64, 64, 3)).get_layer("fire9_expand3").kernel.numpy()
    assert kernel.var() == pytest.approx(2 / (9 * 64), rel=0.05)


def test_the_last_convolution_and_average_compute_in_float32():
    model = build(precision="mixed_bfloat16")
    dtypes = {layer.name: layer.compute_dtype for layer in model.layers}
    assert (dtypes["conv10"], dtypes["logits"]) == ("float32", "float32")
    assert dtypes["fire9_expand3"] == "bfloat16"
    assert model(images()).dtype == tf.float32


def test_dropout_changes_what_the_last_convolution_sees():
    keys = prng.key(1, tf.range(3))
    logits = []
    for dropout in (0.5, 0.0):
        with models.dropout_keys(keys):
            logits.append(build(dropout=dropout)(images(), training=True).numpy())
    assert (logits[0] != logits[1]).all()


def test_without_dropout_no_keys_are_needed():
    assert build(dropout=0.0)(images(), training=True).shape == (3, 6)


def test_31_pixels_are_enough_and_30_are_not():
    assert build().output_shape == (None, 6)
    with refused(ConfigError, "31 x 31", "30 x 40", "data.image_size"):
        build(shape=(30, 40, 3))
