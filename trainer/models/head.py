"""The layer that gives the logits, and training it alone."""

import contextlib
from collections.abc import Iterator

import keras


def head(model: keras.Model) -> keras.layers.Layer:
    """The last layer with weights of its own, however deep in the model.

    What follows it (a reshape, an average over pixels) computes the logits of it.
    """
    return [layer for layer in _leaves(model) if layer.weights][-1]


@contextlib.contextmanager
def head_alone(model: keras.Model) -> Iterator[None]:
    """In the body, the head of `model` is its only layer that trains.

    The others run as in inference, BatchNormalization with its moving statistics,
    which stay as they are; dropout goes on. Functions must be traced in the body.
    """
    last = head(model)
    before = [(layer, layer.trainable) for layer in _leaves(model)]
    for layer, _ in before:
        layer.trainable = layer is last
    try:
        yield
    finally:
        for layer, trainable in before:
            layer.trainable = trainable


def _leaves(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Layers that hold no others, in the order in which the model runs them."""
    inner = list(layer._flatten_layers(include_self=False, recursive=False))
    if not inner:
        return [layer]
    return [leaf for part in inner for leaf in _leaves(part)]
