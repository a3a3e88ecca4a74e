"""A frozen model whose normalisations are part of the layers before them.

In inference BatchNormalization multiplies each channel by one number and adds another
(Ioffe and Szegedy 2015, algorithm 2, https://arxiv.org/abs/1502.03167). A convolution
before it can do both: its kernel takes the factor, its bias the rest (Jacob et al.
2018, section 3.2, https://arxiv.org/abs/1712.05877). Nothing passes over its result
again.
"""

import collections
from collections.abc import Collection, Mapping

import keras
import numpy as np

from trainer.models.grouped_pointwise import GroupedPointwise

# How many kernels they have; the last one ends with the channels of the result.
_NUM_KERNELS = {
    keras.layers.Conv2D: 1,
    keras.layers.Dense: 1,
    keras.layers.DepthwiseConv2D: 1,
    GroupedPointwise: 1,
    keras.layers.SeparableConv2D: 2,
}


def fold_batch_norm(model: keras.Model, *, tapped: Collection[str] = ()) -> keras.Model:
    """The same function in inference, but for rounding; `model` stays as it is.

    The other layers are the model's own, whose weights are not in memory twice. A model
    that is no graph of layers, or has nothing to fold, is itself the result. To be
    called once the weights are set, in the scope that the model was built in.

    The outputs of the layers whose paths are `tapped` (trainer.models.taps) are in the
    result too: see `folded_path`.
    """
    graph = _graph_of(model)
    if graph is None:
        return model
    normalisations = _foldable(graph, tapped)
    has_networks = any(isinstance(layer, keras.Model) for layer in graph.layers)
    if not normalisations and not has_networks:
        return model
    gone = {id(normalisation) for normalisation in normalisations.values()}

    def copy(layer: keras.Operation) -> keras.Operation:
        if isinstance(layer, keras.Model):
            return fold_batch_norm(layer, tapped=_inside(tapped, layer.name))
        if layer.name not in normalisations:
            return layer
        return _with_bias(layer)

    def call(layer: keras.Operation, *args: object, **kwargs: object) -> object:
        return args[0] if id(layer) in gone else layer(*args, **kwargs)

    result = keras.models.clone_model(graph, clone_function=copy, call_function=call)
    # The graph of a Sequential has another, by which no path would find it.
    result.name = model.name
    for name, normalisation in normalisations.items():
        weights = _weights(graph.get_layer(name), normalisation)
        result.get_layer(name).set_weights(weights)
    return result


def folded_path(model: keras.Model, path: str, *, tapped: Collection[str]) -> str:
    """The path in the folded `model` of the layer that gives what `path` did.

    It is another one for a normalisation that became part of the layer before it.
    """
    graph = _graph_of(model)
    if graph is None:
        return path
    outer, _, inner = path.partition("/")
    if inner:
        network = graph.get_layer(outer)
        if not isinstance(network, keras.Model):
            return path
        within = folded_path(network, inner, tapped=_inside(tapped, outer))
        return f"{outer}/{within}"
    normalisations = _foldable(graph, tapped)
    return next((name for name, n in normalisations.items() if n.name == path), path)


def _inside(tapped: Collection[str], network: str) -> set[str]:
    """The paths inside of a network, from there."""
    begin = f"{network}/"
    return {path.removeprefix(begin) for path in tapped if path.startswith(begin)}


def _graph_of(model: keras.Model) -> keras.Model | None:
    """The graph of layers that `model` is; None where layers do not say it all."""
    graph = model
    if type(model) is keras.Sequential:
        # None where a layer cannot say the shape of its result.
        graph = model._functional or model
    return graph if _is_graph(graph) else None


def _is_graph(model: keras.Model) -> bool:
    """Whether its layers alone say what it computes."""
    a = keras.Input(())
    return type(model) is type(keras.Model(a, a))


def _foldable(
    model: keras.Model, tapped: Collection[str]
) -> Mapping[str, keras.layers.BatchNormalization]:
    """Finds normalisations that alone follow a layer, by that layer's name.

    What a tapped layer gives is needed by itself.
    """
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
            and layer.name not in tapped
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
