"""ONNX files, by ONNX Runtime, against Keras: for five networks and more."""

import json

import keras
import numpy as np
import onnxruntime
import pytest

from tests.helpers import applications, small_models
from tests.helpers.messages import refused
from tests.helpers.oracle import softmax
from trainer.config import SqueezenetOptions
from trainer.export import onnx_file
from trainer.models.standardise import Standardise

NAMES = [f"class {i}, ä" for i in range(small_models.NUM_CLASSES)]


def opened(model, class_names=NAMES):
    content = onnx_file.convert(model, class_names)
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def answers(session, inputs):
    [source] = session.get_inputs()
    return session.run(["probabilities"], {source.name: inputs})[0]


def network(name):
    if name in applications.SMALLEST_OF_THEIR_KIND:
        model = applications.build(name, num_classes=len(NAMES))
        applications.randomise(model)
        return model
    known = {**small_models.SMALL, "squeezenet": SqueezenetOptions()}
    shape = (32, 32, 3) if name == "squeezenet" else small_models.MNIST_SHAPE
    model = small_models.build(name, known[name], image_shape=shape)
    if name != "squeezenet":
        small_models.randomise(model)
    return model


@pytest.mark.parametrize(
    "name",
    [
        *("mlp", "cnn", "squeezenet"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("MobileNetV2", "EfficientNetB0")
        ),
    ],
)
def test_a_network_answers_as_keras_does_in_batches_of_any_size(name):
    model = network(name)
    images = small_models.noise_images(6, model.input_shape[1:])
    right = softmax(model(images).numpy())
    session = opened(model)
    for batch in (images, images[:1]):
        np.testing.assert_allclose(
            answers(session, batch), right[: len(batch)], atol=1e-5
        )
    assert len(np.unique(right.round(6), axis=0)) == len(images)
    [source], [result] = session.get_inputs(), session.get_outputs()
    size = list(model.input_shape[1:])
    assert (source.name, source.type) == ("image", "tensor(uint8)")
    assert source.shape == ["batch", *size]
    assert (result.name, result.type) == ("probabilities", "tensor(float)")
    assert result.shape == ["batch", len(NAMES)]
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["class_names"]) == NAMES


def test_rows_of_float64_keep_their_digits():
    row = keras.Input((2,), dtype="float64")
    scaled = Standardise(mean=[1e9, 0.0], deviation=[0.5, 1.0])(row)
    model = keras.Model(row, keras.layers.Dense(3)(scaled))
    rows = np.array([[1e9 + 1, 2.0], [1e9 - 1, 2.0]])
    kernel, bias = (weight.numpy().astype(np.float64) for weight in model.weights)
    right = softmax((rows - [1e9, 0]) / [0.5, 1.0] @ kernel + bias)
    assert np.abs(right[0] - right[1]).max() > 0.1
    session = opened(model, ["a", "b", "c"])
    assert session.get_inputs()[0].name == "row"
    np.testing.assert_allclose(answers(session, rows), right, atol=1e-5)


def test_an_operation_that_onnx_lacks_is_named():
    image = keras.Input((4,))
    x = keras.layers.Dense(3)(keras.ops.erfinv(image / 9))
    with refused(onnx_file.UnknownOperationError, "Erfinv"):
        onnx_file.convert(keras.Model(image, x), ["a", "b", "c"])
