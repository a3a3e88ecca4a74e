"""The layer that gives the logits, and training it alone."""

import contextlib
from collections.abc import Iterator

import keras


def head(model: keras.Model) -> keras.layers.Layer:
    """The last layer with weights of its own, however deep in the model.

    What follows it (a reshape, an average over pixels) computes the logits of it.
    """
    return _leaves(model)[-1]


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
    own = {id(variable) for variable in last.variables}
    # Of layers that hold others, which cannot be frozen without these.
    outer = [v for v in model.trainable_variables if id(v) not in own]
    for variable in outer:
        variable.trainable = False
    try:
        yield
    finally:
        for variable in outer:
            variable.trainable = True
        for layer, trainable in before:
            layer.trainable = trainable


def _leaves(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Layers with weights that hold no other such, in the order the model runs them."""
    # An activation may be a layer too, inside of the one whose weights it follows.
    inner = [
        part
        for part in layer._flatten_layers(include_self=False, recursive=False)
        if part.weights
    ]
    if not inner:
        return [layer]
    return [leaf for part in inner for leaf in _leaves(part)]
