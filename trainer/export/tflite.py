"""TFLite: float32, float16 weights, and int8 weights and activations."""

import importlib.util
import warnings
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from trainer.export.frozen import freeze
from trainer.export.saved_model import Predict


def is_installed() -> bool:
    """Whether there is what runs TFLite models."""
    return importlib.util.find_spec("ai_edge_litert") is not None


def convert(model: keras.Model, kind: str, *, calibration: np.ndarray) -> bytes:
    """The file of a model that takes the data's inputs and gives probabilities.

    `kind` is "tflite_float32", "tflite_float16" or "tflite_int8", which learns the
    ranges of activations from the inputs `calibration` [M, ...].
    """
    # Frozen first: the converter would leave variables, which TensorFlow alone sets.
    # A module without any: without a module the older path of conversion is taken.
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [freeze(model)], tf.Module()
    )
    if kind != "tflite_float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "tflite_float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "tflite_int8":

        def representative() -> Iterator[list[np.ndarray]]:
            for i in range(len(calibration)):
                yield [calibration[i : i + 1]]

        converter.representative_dataset = representative
    with warnings.catch_warnings():
        # Of statistics of the inputs, which are uint8 whatever the kind.
        warnings.simplefilter("ignore", UserWarning)
        content: bytes = converter.convert()
    return content


def interpreter(content: bytes) -> Predict:
    """The predictions of a TFLite file, as a phone would compute them."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    [source], [result] = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )

    def predict(inputs: np.ndarray) -> np.ndarray:
        shape = interpreter.get_input_details()[0]["shape"]
        if tuple(shape) != inputs.shape:
            interpreter.resize_tensor_input(source["index"], inputs.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], inputs)
        interpreter.invoke()
        found: np.ndarray = interpreter.get_tensor(result["index"])
        return found

    interpreter.allocate_tensors()
    return predict
