"""Predictions of a model whose images would have other values than options.input says.

Shapes: K = images, C = classes.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.config import ConfigError, ImageOptions, MemoryOptions, SavedOptions
from trainer.models.checks import predict
from trainer.models.hub import has_preprocessor
from trainer.models.inputs import Inputs
from trainer.models.preprocessing import PIXEL_VALUES, PREPROCESSING, RANGES
from trainer.models.saved import logarithms
from trainer.models.value_ranges import check_values

_PER_CHANNEL = ("imagenet_torch", "imagenet_caffe")  # of three colours
_BATCH_SIZE = 32  # which fits wherever the model does
# What build_saved puts between the images and their preprocessing, by name.
_BEFORE = ("resize", "three_channels")


def other_values(model: keras.Model, options: Any, inputs: Inputs) -> list[str]:
    """The other values of options.input that fit the images; [] where none matters.

    That of a file says what the model expects of images of 8 bits, that of an
    architecture what float32 images have. A `model` in memory is the program's own,
    and gets images of 8 bits as they are.
    """
    if isinstance(options, SavedOptions | MemoryOptions):
        network = _network(model, options)
        is_brought = inputs.is_image and inputs.dtype == "uint8"
        if network is None or not is_brought or _input(network).dtype == "uint8":
            return []
        channels = _input(network).shape[-1] or inputs.shape[-1]
        found = list(RANGES)
        if getattr(options, "input", "as_given") == "as_given":
            found.remove("zero_to_255")
        if isinstance(options, MemoryOptions):
            return [name for name in found if channels == 3 or name not in _PER_CHANNEL]
    elif isinstance(options, ImageOptions):
        if not (options.input and inputs.is_image and inputs.dtype == "float32"):
            return []
        channels = inputs.shape[-1]
        found = [name for name in RANGES if _fits(name, options, inputs)]
    else:
        return []
    return [
        name
        for name in found
        if name != options.input and (channels == 3 or name not in _PER_CHANNEL)
    ]


def predict_as(
    values: str, model: keras.Model, options: Any, images: np.ndarray
) -> np.ndarray:
    """The logits [K, C] of images [K, ...], had options.input been `values`.

    Call it in the strategy's scope.
    """
    batches = np.split(images, range(_BATCH_SIZE, len(images), _BATCH_SIZE))
    if isinstance(options, SavedOptions | MemoryOptions):
        network = _network(model, options)
        dtype = _input(network).dtype
        before = _as_before if isinstance(options, SavedOptions) else _as_they_are

        def call(x: tf.Tensor, *, training: bool) -> tf.Tensor:
            # The endpoint of a SavedModel gives its result by name.
            (result,) = keras.tree.flatten(network(x, training=training))
            is_logits = options.output == "logits"
            return tf.cast(result, tf.float32) if is_logits else logarithms(result)

        brought = [PREPROCESSING[values](before(model, x)) for x in batches]
        return np.concatenate([predict(call, tf.cast(x, dtype)) for x in brought])
    told = PREPROCESSING[options.input]
    return np.concatenate(
        [predict(model, told(PIXEL_VALUES[values](batch))) for batch in batches]
    )


def _fits(name: str, options: ImageOptions, inputs: Inputs) -> bool:
    try:
        other: Any = name
        check_values("", dataclasses.replace(options, input=other), inputs, "")
    except ConfigError:
        return False
    return True


def _network(model: keras.Model, options: SavedOptions | MemoryOptions) -> Any:
    """The file's own model, which is one layer of that which build_saved makes.

    One in memory is the program's own; None where it is not known what it takes.
    """
    if isinstance(options, MemoryOptions):
        is_known = bool(getattr(model, "inputs", None)) and not has_preprocessor(model)
        return model if is_known else None
    own = keras.Model | keras.layers.TFSMLayer
    found = [layer for layer in model.layers if isinstance(layer, own)]
    return found[0] if len(found) == 1 else None


def _input(network: Any) -> keras.KerasTensor:
    (found,) = keras.tree.flatten(getattr(network, "inputs", None) or network.input)
    return found


def _as_they_are(model: keras.Model, images: np.ndarray) -> tf.Tensor:
    return tf.constant(images)


def _as_before(model: keras.Model, images: np.ndarray) -> tf.Tensor:
    """Images as they come to the preprocessing."""
    layers = {layer.name: layer for layer in model.layers}
    x = tf.constant(images)
    for name in _BEFORE:
        if name in layers:
            x = layers[name]([x] * 3 if name == "three_channels" else x)
    return x
