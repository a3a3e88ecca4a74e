"""Checks of a built model, before hours are spent on it."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.config import ConfigError
from trainer.models.inputs import Inputs

# Each class has its own prediction from 0 to 1, and they need not sum to 1.
SIGMOIDS = ("sigmoid", "hard_sigmoid", "hardsigmoid")


def check(
    model: keras.Model, name: str, *, inputs: Inputs, num_classes: int, setting: str
) -> None:
    """Refuses what would train without an error and without sense.

    Raises:
      ConfigError: the model gives no logit a class, or its replicas would have to talk.
    """
    result = _call(model, inputs.examples())
    check_one_output(result, name, setting)
    output = _on_first_replica(result)
    _check_output(output, name, num_classes, setting)
    if last_activation(model) in SIGMOIDS:
        raise ConfigError(
            f"{setting}.model {name!r} must give logits, got sigmoids; remove the last "
            "activation"
        )
    _check_layers(model, name, setting)


def random_layers(model: keras.Model) -> list[str]:
    """The layers that draw by Keras's own generators, as "Dropout (dropout_1)"."""
    return [
        f"{type(layer).__name__} ({layer.name})"
        for layer in model._flatten_layers(include_self=False)
        if getattr(layer, "seed_generator", None) is not None
    ]


def predict(model: Callable[..., Any], examples: np.ndarray) -> np.ndarray:
    """The model's outputs for a few examples [K, ...] in inference."""
    return _on_first_replica(_call(model, examples))


def _call(model: Callable[..., Any], examples: np.ndarray) -> Any:
    # On a replica: a SavedModel's functions know no other place.
    return tf.distribute.get_strategy().run(
        lambda x: model(x, training=False), args=(tf.constant(examples),)
    )


def _on_first_replica(result: Any) -> np.ndarray:
    strategy = tf.distribute.get_strategy()
    return np.asarray(strategy.experimental_local_results(result)[0])


def check_one_output(result: Any, name: str, setting: str) -> None:
    """Refuses a model whose call gives more than one tensor, or none.

    Raises:
      ConfigError: nobody says which of them are the logits.
    """
    count = len(keras.tree.flatten(result))
    if count != 1:
        raise ConfigError(
            f"{setting}.model {name!r} must have one output, the logits, got {count}; "
            "give a model of that one, as in keras.Model(model.inputs, "
            "model.outputs[0])"
        )


def check_input_shape(
    model: keras.Model, shape: Sequence[int], rule: str, way: str
) -> None:
    """Refuses a model that does not take one example of a `shape`.

    The message is the `rule`, the shapes that the model has, and the `way` out.

    Raises:
      ConfigError: it has another shape, or more inputs than one.
    """
    expected: Any = getattr(model, "input_shape", None) if model.built else None
    shapes = [expected] if isinstance(expected, tuple) else expected
    if not shapes:
        return  # of a model that takes what it is called with
    own = tuple(shapes[0])[1:]
    fits = len(shapes) == 1 and len(own) == len(shape)
    if not fits or any(
        want not in (None, side) for want, side in zip(own, shape, strict=True)
    ):
        found = [tuple(each)[1:] for each in shapes]
        raise ConfigError(f"{rule}, got one of inputs {found}; {way}")


def last_activation(model: keras.Model) -> str:
    """The name of the function that gives a model's output; "" where it is unknown.

    What changes no value, such as a cast, is passed over.
    """
    outputs = keras.tree.flatten(getattr(model, "outputs", None) or [])
    while len(outputs) == 1 and hasattr(outputs[0], "_keras_history"):
        history = outputs[0]._keras_history
        layer = history.operation
        if isinstance(layer, keras.Model):
            outputs = keras.tree.flatten(getattr(layer, "outputs", None) or [])
        elif _changes_no_value(layer):
            outputs = layer._inbound_nodes[history.node_index].input_tensors
        else:
            name = getattr(getattr(layer, "activation", None), "__name__", "")
            return str(name) or type(layer).__name__.lower()
    return ""


def _changes_no_value(layer: Any) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return bool(layer.activation is keras.activations.linear)
    shaping = keras.layers.Flatten | keras.layers.Reshape | keras.layers.Identity
    return isinstance(layer, shaping) or type(layer).__name__ == "Cast"


def _check_output(
    output: np.ndarray, name: str, num_classes: int, setting: str
) -> None:
    if output.shape != (4, num_classes):
        raise ConfigError(
            f"{setting}.model {name!r} must give {num_classes} logits an example, one "
            f"a class of the data, got an output of shape {output.shape[1:]}; end it "
            f"in Dense({num_classes})"
        )
    if not np.isfinite(output).all():
        raise ConfigError(
            f"{setting}.model {name!r} must give finite logits, got "
            f"{output[~np.isfinite(output)][0]}; mend its weights or its last layers"
        )
    if is_probabilities(output):
        raise ConfigError(
            f"{setting}.model {name!r} must give logits, got probabilities (they sum "
            "to 1); remove the last softmax"
        )


def is_probabilities(output: np.ndarray) -> bool:
    """Whether no value is below 0 and all of an example sum to 1."""
    sums = output.sum(axis=-1)
    return bool((output >= 0).all() and np.allclose(sums, 1, atol=1e-2))


def is_sigmoids(output: np.ndarray) -> bool:
    """Whether all values are from 0 to 1, and those of an example do not sum to 1."""
    within = bool(((output >= 0) & (output <= 1)).all())
    return within and not is_probabilities(output)


def _check_layers(model: keras.Model, name: str, setting: str) -> None:
    for layer in model._flatten_layers(include_self=False):
        if getattr(layer, "synchronized", False):
            raise ConfigError(
                f"{setting}.model {name!r} must not synchronise BatchNormalization "
                f"({layer.name}): replicas meet once a step, at its end; "
                "use synchronized=False, its statistics are averaged over replicas"
            )
    for variable in model.trainable_variables:
        if variable.dtype != "float32":
            raise ConfigError(
                f"{setting}.model {name!r} must keep its weights in float32, got "
                f"{variable.dtype} ({variable.path}); give it a mixed_ policy"
            )
