"""Fingerprints of a model, which tell its weights and its architecture from others."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.models.standardise import Standardise

# In a configuration: what building a model leaves there, and addresses in memory.
_PASSING = ("build_config", "build_input_shape", "shared_object_id")


def fingerprint(model: keras.Model) -> str:
    """SHA-256 of all variables, in their order, with shapes and types.

    The means and variances that the rows of a table are scaled by count with them.
    """
    values = [variable.value for variable in model.variables]
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Normalization):
            # Given with the layer, they are no variables.
            values += [layer.mean, layer.variance]
        if isinstance(layer, Standardise):
            values += [np.array(layer.mean), np.array(layer.deviation)]
    return _checksum(values)


def weights_fingerprint(model: keras.Model) -> str:
    """SHA-256 of the weights alone: of dropout each process has another state."""
    return _checksum(weight.value for weight in model.weights)


def architecture_fingerprint(model: keras.Model) -> str:
    """SHA-256 of a model's configuration, whatever the names of its layers.

    Keras numbers names by what the process has built before. Of a model that cannot
    tell its configuration, it is that of its class and the shapes of its weights.
    """
    # An exception of a user's own code may be of any kind.
    try:
        config = keras.saving.serialize_keras_object(model.get_config())
    except Exception:
        config = [list(weight.shape) for weight in model.weights]
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    names: dict[str, str] = {}
    _collect_names(config, names)
    text = json.dumps([kind, _renamed(config, names)], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_input(config: Any) -> bool:
    """Whether it is a layer for inputs, which calling a model may add to it."""
    return isinstance(config, dict) and config.get("class_name") == "InputLayer"


def _collect_names(config: Any, names: dict[str, str]) -> None:
    if _is_input(config):
        name = config["config"]["name"]
        num_inputs = sum(found.startswith("input") for found in names.values())
        names.setdefault(name, f"input {num_inputs}")
        return
    if isinstance(config, dict):
        if isinstance(name := config.get("name"), str):
            num_layers = sum(found.startswith("layer") for found in names.values())
            names.setdefault(name, f"layer {num_layers}")
        config = list(config.values())
    if isinstance(config, list | tuple):
        for part in config:
            _collect_names(part, names)


def _renamed(config: Any, names: dict[str, str]) -> Any:
    if isinstance(config, dict):
        return {
            key: _renamed(value, names)
            for key, value in config.items()
            if key not in _PASSING
        }
    if isinstance(config, list | tuple):
        return [_renamed(part, names) for part in config if not _is_input(part)]
    return names.get(config, config) if isinstance(config, str) else config


def _checksum(values: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for value in values:
        array = tf.convert_to_tensor(value).numpy()
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
