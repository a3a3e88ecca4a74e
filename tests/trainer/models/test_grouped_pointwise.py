"""Convolutions of 1x1 in groups against Keras's own, which XLA computes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.export import onnx_file, predict_function, tflite
from trainer.models.grouped_pointwise import GroupedPointwise

SHAPE = (4, 5, 6)  # of images, whose channels are in two or three groups


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_values_and_gradients_are_those_of_keras(groups, use_bias):
    def run(kind):
        keras.utils.set_random_seed(2)
        layer = kind(12, 1, groups=groups, use_bias=use_bias)
        with tf.GradientTape() as tape:
            y = layer(tf.constant(images()))
            loss = tf.reduce_sum(y**3)
        gradients = tape.gradient(loss, [weight.value for weight in layer.weights])
        return [y, *layer.get_weights(), *gradients]

    ours, theirs = run(GroupedPointwise), run(keras.layers.Conv2D)
    assert ours[1].shape == (1, 1, 6 // groups, 12)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def network() -> keras.Model:
    x = GroupedPointwise(6, 1, groups=3)(start := keras.Input(SHAPE))
    return keras.Model(start, keras.layers.Dense(4)(keras.layers.Flatten()(x)))


def test_it_is_saved_as_itself(tmp_path):
    model = network()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[1]) is GroupedPointwise
    np.testing.assert_array_equal(loaded(images()), model(images()))


def test_it_can_be_exported():
    model = network()
    expected = predict_function(model)(images())
    found = []
    if tflite.is_installed():
        for kind in ("tflite_float32", "tflite_float16"):
            content = tflite.convert(model, kind, calibration=images())
            found.append(tflite.interpreter(content)(images()))
    if onnx_file.is_installed():
        content = onnx_file.convert(model, [str(i) for i in range(4)])
        found.append(onnx_file.session(content)(images()))
    if not found:
        pytest.skip("neither TFLite nor ONNX is installed")
    for predictions in found:
        np.testing.assert_allclose(predictions, expected, atol=2e-3)
