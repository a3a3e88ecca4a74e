"""Dropout whose masks do not depend on replicas."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_models import (
    SMALL,
    build,
    convolution,
    noise_images,
    randomise,
)
from trainer import models, prng


def dropped(
    inputs: np.ndarray, keys: tf.Tensor, *, rate: float = 0.5, stream: int = 1
) -> np.ndarray:
    with models.dropout_keys(keys):
        layer = models.Dropout(rate, stream=stream)
        return layer(tf.constant(inputs), training=True).numpy()


def keys_of(ids: object) -> tf.Tensor:
    return prng.key(8, 2, tf.constant(ids))


def test_dropout_is_the_identity_without_training():
    inputs = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    layer = models.Dropout(0.5, stream=1)
    np.testing.assert_array_equal(layer(inputs, training=False), inputs)


def test_dropout_at_rate_zero_is_the_identity_in_training():
    inputs = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    layer = models.Dropout(0.0, stream=1)
    np.testing.assert_array_equal(layer(inputs, training=True), inputs)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.75])
def test_kept_units_are_scaled_by_one_over_the_share_kept(rate):
    inputs = np.random.default_rng(0).uniform(1, 2, (20, 30)).astype(np.float32)
    outputs = dropped(inputs, keys_of(range(20)), rate=rate)
    kept = outputs != 0
    np.testing.assert_allclose(outputs[kept], inputs[kept] / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.75])
def test_the_shard_of_dropped_units_is_the_rate(rate):
    outputs = dropped(np.ones((500, 200), np.float32), keys_of(range(500)), rate=rate)
    # Five standard deviations of 100,000 independent units.
    spread = math.sqrt(rate * (1 - rate) / outputs.size)
    assert abs((outputs == 0).mean() - rate) < 5 * spread


def test_a_rate_far_below_one_unit_in_a_billion_drops_nothing():
    outputs = dropped(np.ones((50, 20), np.float32), keys_of(range(50)), rate=1e-10)
    assert (outputs == 0).mean() == 0


def test_the_mask_of_an_example_does_not_depend_on_the_batch():
    inputs = np.ones((6, 4, 3), np.float32)
    alone = np.concatenate([dropped(inputs[:1], keys_of([i])) for i in range(6)])
    order = [4, 1, 0, 5, 3, 2]
    np.testing.assert_array_equal(dropped(inputs, keys_of(order)), alone[order])


def test_examples_have_masks_of_their_own():
    masks = dropped(np.ones((50, 64), np.float32), keys_of(range(50)))
    assert len(np.unique(masks, axis=0)) == 50


def test_channels_and_pixels_are_dropped_one_by_one():
    masks = dropped(np.ones((40, 4, 4, 4), np.float32), keys_of(range(40))) > 0
    for axis in (1, 2, 3):
        assert (masks.any(axis=axis) & ~masks.all(axis=axis)).any()


def test_an_example_is_dropped_whole_or_not_at_all():
    layer = models.Dropout(0.3, stream=1, per_example=True)
    inputs = np.random.default_rng(0).uniform(1, 2, (5000, 2, 3, 4)).astype(np.float32)
    with models.dropout_keys(keys_of(range(5000))):
        outputs = layer(inputs, training=True).numpy()
    kept = outputs.any(axis=(1, 2, 3))
    np.testing.assert_allclose(outputs[kept], inputs[kept] / 0.7, rtol=1e-6)
    # Five standard deviations of 5,000 independent examples.
    assert abs(kept.mean() - 0.7) < 5 * math.sqrt(0.21 / 5000)


def test_a_saved_layer_drops_whole_examples():
    layer = models.Dropout(0.3, stream=4, per_example=True)
    copy = models.Dropout.from_config(layer.get_config())
    assert (copy.rate, copy.stream, copy.per_example) == (0.3, 4, True)


def test_two_streams_drop_different_units():
    inputs = np.ones((100, 100), np.float32)
    first, second = (dropped(inputs, keys_of(range(100)), stream=s) > 0 for s in (1, 2))
    # Independent masks agree on half of the units; five standard deviations of 10,000.
    assert abs((first == second).mean() - 0.5) < 5 * 0.5 / 100


def test_mlp_drops_pixels_and_hidden_units_by_streams_of_their_own():
    model = build("mlp", SMALL["mlp"])
    kernel_1, bias_1, kernel_2, bias_2, kernel, bias = randomise(model)
    images, keys = noise_images(7, (9, 8, 2)), keys_of(range(7))
    x = dropped(images.reshape(7, -1) / 255, keys, rate=0.2, stream=0)
    x = dropped(np.maximum(x @ kernel_1 + bias_1, 0), keys, rate=0.5, stream=1)
    x = dropped(np.maximum(x @ kernel_2 + bias_2, 0), keys, rate=0.5, stream=2)
    with models.dropout_keys(keys):
        logits = model(images, training=True)
    np.testing.assert_allclose(logits, x @ kernel + bias, rtol=1e-5, atol=1e-5)


def test_conv_mlp_drops_hidden_units_by_streams_of_their_own():
    model = build("conv_mlp", SMALL["conv_mlp"])
    filters, offsets, kernel_1, bias_1, kernel_2, bias_2, kernel, bias = randomise(
        model
    )
    images, keys = noise_images(7, (9, 8, 2)), keys_of(range(7))
    x = np.maximum(convolution(images / 255, filters, offsets, stride=1), 0)
    x = np.maximum(x.reshape(7, -1) @ kernel_1 + bias_1, 0)
    x = np.maximum(dropped(x, keys, stream=1) @ kernel_2 + bias_2, 0)
    x = dropped(x, keys, stream=2)
    with models.dropout_keys(keys):
        logits = model(images, training=True)
    np.testing.assert_allclose(logits, x @ kernel + bias, rtol=1e-5, atol=1e-5)


def test_compiled_dropout_has_the_same_mask():
    inputs, keys = np.ones((20, 30), np.float32), keys_of(range(20))
    layer = models.Dropout(0.5, stream=1)

    @tf.function(jit_compile=True, autograph=False)
    def compiled(inputs: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        with models.dropout_keys(keys):
            return layer(inputs, training=True)

    np.testing.assert_array_equal(compiled(inputs, keys), dropped(inputs, keys))


def test_gradients_pass_through_kept_units_only():
    inputs = tf.ones((10, 10))
    with tf.GradientTape() as tape, models.dropout_keys(keys_of(range(10))):
        tape.watch(inputs)
        outputs = models.Dropout(0.5, stream=1)(inputs, training=True)
    np.testing.assert_array_equal(tape.gradient(outputs, inputs), outputs)


def test_training_without_keys_is_an_error():
    with pytest.raises(LookupError):
        models.Dropout(0.5, stream=1)(np.ones((2, 3), np.float32), training=True)


def test_keys_end_with_their_block():
    dropped(np.ones((2, 3), np.float32), keys_of([0, 1]))
    with pytest.raises(LookupError):
        models.Dropout(0.5, stream=1)(np.ones((2, 3), np.float32), training=True)


def test_a_saved_model_keeps_its_dropout(tmp_path):
    model = build("mlp", SMALL["mlp"])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = noise_images(7, (9, 8, 2))
    with models.dropout_keys(keys_of(range(7))):
        expected, actual = (m(images, training=True) for m in (model, loaded))
    np.testing.assert_array_equal(actual, expected)
