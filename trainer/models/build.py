"""From a model's name to a checked Keras model."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from absl import logging

from trainer.config import ConfigError
from trainer.models.cnn import cnn
from trainer.models.conv_mlp import conv_mlp
from trainer.models.inputs import Inputs
from trainer.models.mlp import mlp

MODELS: dict[str, Callable[..., keras.Model]] = {
    "cnn": cnn,
    "conv_mlp": conv_mlp,
    "mlp": mlp,
}


def build(
    name: str,
    options: Any,
    *,
    inputs: Inputs,
    num_classes: int,
    seed: int,
    precision: str,
    setting: str,
) -> keras.Model:
    """A model of uint8 images [B, H, W, channels] to logits [B, C], weights by `seed`.

    Call it in the strategy's scope. `name` is a known architecture or
    package.module:function, called as function(image_shape, num_classes, **options).
    `precision` is a Keras dtype policy; `setting` names the section in messages.

    Raises:
      ConfigError: there is no such function, or its model gives no logit a class.
    """
    # Seeds every initializer of the model, a user's own included.
    keras.utils.set_random_seed(seed)
    try:
        with _default_precision(precision):
            if ":" in name:
                model = _own_model(name, options, inputs.shape, num_classes, setting)
            else:
                model = MODELS[name](inputs.shape, num_classes, options)
        output = _probe(model, inputs.shape)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(
            f"{setting}.model {name!r} must be buildable for images of shape "
            f"{inputs.shape} with options {options!r}, got an error: "
            f"{str(error).strip().splitlines()[0]}; change {setting}.options or "
            "data.image_size"
        ) from error
    _check_output(output, name, num_classes, setting)
    _check_layers(model, name, setting)
    return model


@contextlib.contextmanager
def _default_precision(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _own_model(
    name: str,
    options: dict[str, Any],
    image_shape: tuple[int, ...],
    num_classes: int,
    setting: str,
) -> keras.Model:
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{setting}.model must name an importable function, got {name!r}: {error}; "
            "put its package on PYTHONPATH"
        ) from error
    try:
        model = function(image_shape, num_classes, **options)
    except TypeError as error:
        raise ConfigError(
            f"{setting}.model {name!r} must be callable as function(image_shape, "
            f"num_classes, **options) with options {options!r}: {error}"
        ) from error
    if not isinstance(model, keras.Model):
        raise ConfigError(
            f"{setting}.model {name!r} must return a keras.Model, "
            f"got {type(model).__name__}; return the model itself"
        )
    return model


def _probe(model: keras.Model, image_shape: tuple[int, ...]) -> np.ndarray:
    """The model's answer to four images of all shades: float [4, C]."""
    shades = np.linspace(0, 255, 4 * int(np.prod(image_shape))).astype(np.uint8)
    return np.asarray(model(shades.reshape(4, *image_shape), training=False))


def _check_output(
    output: np.ndarray, name: str, num_classes: int, setting: str
) -> None:
    """Refuses what would train without an error and without sense."""
    if output.shape != (4, num_classes):
        raise ConfigError(
            f"{setting}.model {name!r} must give {num_classes} logits an image, one a "
            f"class of the data, got an output of shape {output.shape[1:]}; end it in "
            f"Dense({num_classes})"
        )
    if (output >= 0).all() and np.allclose(output.sum(axis=-1), 1, atol=1e-2):
        raise ConfigError(
            f"{setting}.model {name!r} must give logits, got probabilities (they sum "
            "to 1); remove the last softmax"
        )


def _check_layers(model: keras.Model, name: str, setting: str) -> None:
    for layer in model._flatten_layers(include_self=False):
        if getattr(layer, "synchronized", False):
            raise ConfigError(
                f"{setting}.model {name!r} must not synchronise BatchNormalization "
                f"({layer.name}): replicas meet once a step, at its end; "
                "use synchronized=False, its statistics are averaged over replicas"
            )
        if isinstance(layer, keras.layers.Dropout):
            logging.warning(
                "%s.model %r uses keras.layers.Dropout (%s): its masks change with the "
                "number of replicas; trainer.models.Dropout's do not",
                setting,
                name,
                layer.name,
            )
