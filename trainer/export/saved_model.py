"""The SavedModel that a server loads: inputs as the data has them, classes by name.

Shapes: B = examples, C = classes.
"""

import pathlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

SIGNATURE = "serving_default"
PROBABILITIES, CLASS_NAMES = "probabilities", "class_names"

Predict = Callable[[np.ndarray], np.ndarray]  # inputs [B, ...] -> float32 [B, C]


def probabilities(model: keras.Model) -> tf.types.experimental.ConcreteFunction:
    """From inputs [B, ...] to the model's probabilities at T = 1: float32 [B, C]."""

    @tf.function(input_signature=[_spec(model)], autograph=False)
    def predict(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {PROBABILITIES: tf.nn.softmax(model(inputs, training=False))}

    return predict.get_concrete_function()


def predict_function(model: keras.Model) -> Predict:
    """The predictions of a model in this process."""
    compiled = probabilities(model)

    def predict(inputs: np.ndarray) -> np.ndarray:
        found: np.ndarray = compiled(tf.constant(inputs))[PROBABILITIES].numpy()
        return found

    return predict


def save(model: keras.Model, class_names: Sequence[str], folder: pathlib.Path) -> None:
    """Writes the model as a SavedModel into the local `folder`.

    Its one signature gives the probabilities and, in a string tensor [B, C] beside
    them, the name of the class that each is of: servers want a row for each example.
    """
    names = tf.constant(list(class_names))
    predict = probabilities(model)

    @tf.function(input_signature=[_spec(model)], autograph=False)
    def serve(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        found = predict(inputs)[PROBABILITIES]
        return {
            PROBABILITIES: found,
            CLASS_NAMES: tf.broadcast_to(names, tf.shape(found)),
        }

    module = tf.Module()
    # The variables alone: who loads it needs neither Keras nor the classes of layers.
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: serve})


def load(folder: pathlib.Path) -> Predict:
    """The predictions of the SavedModel in the local `folder`."""
    signature = tf.saved_model.load(str(folder)).signatures[SIGNATURE]
    [name] = signature.structured_input_signature[1]

    def predict(inputs: np.ndarray) -> np.ndarray:
        found: np.ndarray = signature(**{name: tf.constant(inputs)})[
            PROBABILITIES
        ].numpy()
        return found

    return predict


def _spec(model: keras.Model) -> tf.TensorSpec:
    [given] = model.inputs
    name = "image" if len(given.shape) == 4 else "row"
    return tf.TensorSpec(given.shape, given.dtype, name=name)
