"""A frozen model whose normalisations are part of the layers before them.

In inference BatchNormalization multiplies each channel by one number and adds another
(Ioffe and Szegedy 2015, algorithm 2, https://arxiv.org/abs/1502.03167). A convolution
before it can do both: its kernel takes the factor, its bias the rest (Jacob et al.
2018, section 3.2, https://arxiv.org/abs/1712.05877). Nothing passes over its result
again.
"""

import collections
from collections.abc import Mapping

import keras
import numpy as np

# How many kernels they have; the last one ends with the channels of the result.
_NUM_KERNELS = {
    keras.layers.Conv2D: 1,
    keras.layers.Dense: 1,
    keras.layers.DepthwiseConv2D: 1,
    keras.layers.SeparableConv2D: 2,
}


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """The same function in inference, but for rounding; `model` stays as it is.

    The other layers are the model's own, whose weights are not in memory twice. A model
    that is no graph of layers, or has nothing to fold, is itself the result. To be
    called once the weights are set, in the scope that the model was built in.
    """
    graph = model
    if type(model) is keras.Sequential:
        # None where a layer cannot say the shape of its result.
        graph = model._functional or model
    if not _is_graph(graph):
        return model
    normalisations = _foldable(graph)
    has_networks = any(isinstance(layer, keras.Model) for layer in graph.layers)
    if not normalisations and not has_networks:
        return model
    gone = {id(normalisation) for normalisation in normalisations.values()}

    def copy(layer: keras.Operation) -> keras.Operation:
        if isinstance(layer, keras.Model):
            return fold_batch_norm(layer)
        if layer.name not in normalisations:
            return layer
        return _with_bias(layer)

    def call(layer: keras.Operation, *args: object, **kwargs: object) -> object:
        return args[0] if id(layer) in gone else layer(*args, **kwargs)

    result = keras.models.clone_model(graph, clone_function=copy, call_function=call)
    for name, normalisation in normalisations.items():
        weights = _weights(graph.get_layer(name), normalisation)
        result.get_layer(name).set_weights(weights)
    return result


def _is_graph(model: keras.Model) -> bool:
    """Whether its layers alone say what it computes."""
    a = keras.Input(())
    return type(model) is type(keras.Model(a, a))


def _foldable(
    model: keras.Model,
) -> Mapping[str, keras.layers.BatchNormalization]:
    """Finds normalisations that alone follow a layer, by that layer's name."""
    nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes]
    calls = collections.Counter(node.operation.name for node in nodes)
    uses = collections.Counter(id(x) for node in nodes for x in node.input_tensors)
    uses.update(id(output) for output in model.outputs)
    sources = {id(x): node.operation for node in nodes for x in node.output_tensors}
    found = {}
    for node in nodes:
        normalisation = node.operation
        if type(normalisation) is not keras.layers.BatchNormalization:
            continue
        if not node.arguments.args:  # called by the names of its arguments
            continue
        x = node.arguments.args[0]
        layer = sources[id(x)]
        if (
            uses[id(x)] == calls[layer.name] == calls[normalisation.name] == 1
            and not node.arguments.kwargs.get("training")
            and not normalisation.renorm
            and _is_linear(layer)
            and normalisation.axis in (-1, len(x.shape) - 1)
            and normalisation.compute_dtype == layer.compute_dtype
        ):
            found[layer.name] = normalisation
    return found


def _is_linear(layer: keras.Operation) -> bool:
    """Whether it is kernels and a bias, with channels last, and no more."""
    if type(layer) not in _NUM_KERNELS:
        return False
    return (
        layer.activation is keras.activations.linear
        and getattr(layer, "data_format", "channels_last") == "channels_last"
        and len(layer.weights) == _NUM_KERNELS[type(layer)] + layer.use_bias
    )


def _with_bias(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config() | {"use_bias": True, "trainable": False}
    copy: keras.layers.Layer = type(layer).from_config(config)
    return copy


def _weights(
    layer: keras.layers.Layer, normalisation: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    """The layer's kernels and bias with what the normalisation does to the channels."""
    *scale_and_shift, mean, variance = normalisation.get_weights()
    beta = scale_and_shift.pop() if normalisation.center else 0
    gamma = scale_and_shift.pop() if normalisation.scale else 1
    factor = gamma / np.sqrt(variance + normalisation.epsilon)
    weights = layer.get_weights()
    bias = weights.pop() if layer.use_bias else 0
    *before, kernel = weights
    # The channels are one axis of a kernel, or two of a depthwise one.
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    shape = kernel.shape[-2:] if depthwise else kernel.shape[-1:]
    return [*before, kernel * factor.reshape(shape), (bias - mean) * factor + beta]
