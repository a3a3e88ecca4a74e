"""Outputs of layers inside a model, recorded while the model is called.

A layer is named by its path: the names of the networks that hold it, from the outside,
and its own, as in "backbone/conv4_block6_out". "embedding" names the input of the last
Dense layer.
"""

import contextlib
import contextvars
import dataclasses
import difflib
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.config import EMBEDDING, ConfigError

# The calls of one call of a model, by the layers that are recorded. Each replica traces
# in a thread with its own, and models that share layers are called one by one.
_calls: contextvars.ContextVar[dict[int, list["_Call"]] | None] = (
    contextvars.ContextVar("recorded_calls", default=None)
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tap:
    """A place in a model whose values are recorded."""

    path: str  # of a layer
    is_input: bool = False  # its input, and not its output


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Call:
    input: Any
    output: Any


def find_taps(
    model: keras.Model, names: Sequence[str], *, setting: str
) -> dict[str, Tap]:
    """The places of `model` that `names` mean, by these names.

    `setting` names the layer in messages.

    Raises:
      ConfigError: there is no such layer, or it cannot be recorded.
    """
    if not names:
        return {}
    layers, found = layers_by_path(model), {}
    for name in names:
        tap = _embedding(layers, setting) if name == EMBEDDING else Tap(path=name)
        same = layers.get(tap.path, [])
        if not same:
            raise ConfigError(
                f"{setting} must name a layer of model {model.name!r}, got {name!r}; "
                f"{_offer(name, layers)}"
            )
        if len(same) > 1:
            raise ConfigError(
                f"{setting} must name one layer of model {model.name!r}, got {name!r}, "
                f"which {len(same)} layers are called; give them names of their own"
            )
        found[name] = tap
    _check_model(model, setting)
    return found


def call_tapped(
    model: keras.Model,
    inputs: tf.Tensor,
    *,
    training: bool,
    taps: Mapping[str, Tap],
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """The outputs of one forward pass, and the values at `taps` by their names.

    Raises:
      ConfigError: a layer is called more than once or not at all, or gives no tensor.
    """
    if not taps:
        return model(inputs, training=training), {}
    layers = layers_by_path(model)
    tapped = {name: layers[tap.path][0] for name, tap in taps.items()}
    with _recorded(list(tapped.values())) as calls:
        output = model(inputs, training=training)
    return output, {
        name: _value(calls[id(layer)], taps[name], model)
        for name, layer in tapped.items()
    }


def shapes_of(
    model: keras.Model, taps: Mapping[str, Tap], examples: np.ndarray
) -> dict[str, tuple[int, ...]]:
    """The shape of one example's values at each tap, of a few `examples`.

    Nothing is computed.

    Raises:
      ConfigError: a layer is called more than once or not at all, or gives no tensor of
        one shape.
    """

    def call(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return call_tapped(model, inputs, training=False, taps=taps)[1]

    spec = tf.TensorSpec(examples.shape, examples.dtype)
    values = tf.function(call, autograph=False).get_concrete_function(spec)
    shapes = {}
    for name, value in values.structured_outputs.items():
        if not _is_by_example(value, len(examples)):
            raise ConfigError(
                f"layer {name!r} of model {model.name!r} must give floats of one shape "
                f"[batch, ..., channels], got {value.dtype.name} of shape "
                f"{value.shape} for a batch of {len(examples)}; name another layer"
            )
        shapes[name] = tuple(value.shape[1:])
    return shapes


def _is_by_example(value: tf.TensorSpec, count: int) -> bool:
    """Whether it is so many examples' values, each of one shape."""
    if value.shape.rank is None or value.shape.rank < 2 or None in value.shape[1:]:
        return False
    return value.dtype.is_floating and value.shape[0] in (None, count)


def recordable(
    model: keras.Model, examples: np.ndarray
) -> dict[str, tuple[int | None, ...]]:
    """The shape of one example's output of each layer that can be recorded.

    Nothing of the `examples` is computed.
    """
    layers = {p: same[0] for p, same in layers_by_path(model).items() if len(same) == 1}
    shapes = {}

    def call(inputs: tf.Tensor) -> tf.Tensor:
        with _recorded(list(layers.values())) as calls:
            output = model(inputs, training=False)
        for path, layer in layers.items():
            with contextlib.suppress(ConfigError):
                value = _value(calls[id(layer)], Tap(path=path), model)
                shapes[path] = tuple(value.shape[1:])
        return output

    spec = tf.TensorSpec(examples.shape, examples.dtype)
    tf.function(call, autograph=False).get_concrete_function(spec)
    return shapes


def layers_by_path(model: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """All layers inside of `model` by their paths, which some may share."""
    found: dict[str, list[keras.layers.Layer]] = {}

    def walk(layer: keras.layers.Layer, prefix: str) -> None:
        for inner in layer._flatten_layers(include_self=False, recursive=False):
            path = prefix + inner.name
            same = found.setdefault(path, [])
            if not any(inner is other for other in same):
                same.append(inner)
                walk(inner, f"{path}/")

    walk(model, "")
    return found


def embedding_layer(model: keras.Model, *, setting: str) -> keras.layers.Dense:
    """The last Dense layer, whose input the name "embedding" means.

    Raises:
      ConfigError: there is none.
    """
    layers = layers_by_path(model)
    (layer,) = layers[_embedding(layers, setting).path]
    return layer


def _embedding(layers: Mapping[str, Sequence[keras.layers.Layer]], setting: str) -> Tap:
    if EMBEDDING in layers:
        raise ConfigError(
            f"{setting} = {EMBEDDING!r} means the input of the last Dense layer, got a "
            "model with a layer of that name; give that layer another name"
        )
    dense = [
        path
        for path, same in layers.items()
        if len(same) == 1 and isinstance(same[0], keras.layers.Dense)
    ]
    if not dense:
        raise ConfigError(
            f"{setting} = {EMBEDDING!r} must have a Dense layer, whose input it is, "
            f"got none in the model; {_offer(EMBEDDING, layers)}"
        )
    return Tap(path=dense[-1], is_input=True)


def _offer(name: str, layers: Mapping[str, Sequence[keras.layers.Layer]]) -> str:
    every = itertools.chain.from_iterable(layers.values())
    if any(isinstance(layer, keras.layers.TFSMLayer) for layer in every):
        return "a SavedModel has no layers to be named: give a .keras file"
    last = name.rpartition("/")[2]
    near = [path for path in layers if path.rpartition("/")[2] == last]
    near = near or difflib.get_close_matches(name, layers)
    offer = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{offer}`python -m trainer layers` prints all"


def _check_model(model: keras.Model, setting: str) -> None:
    """Refuses models whose recorded values would be of other axes or no gradient."""
    for layer in model._flatten_layers():
        if getattr(layer, "data_format", None) == "channels_first":
            raise ConfigError(
                f"{setting} must be of a model with channels last, got channels first "
                f"in layer {layer.name!r} of {model.name!r}; build it channels last"
            )
        # What is computed once more in the backward pass leaves no gradient there.
        if getattr(layer, "_remat_mode", None):
            raise ConfigError(
                f"{setting} must be of a model without keras.RematScope, got layer "
                f"{layer.name!r} of {model.name!r} in one; build it without"
            )


@contextlib.contextmanager
def _recorded(
    layers: Sequence[keras.layers.Layer],
) -> Iterator[dict[int, list[_Call]]]:
    """The calls of `layers` in the body, by the layers' identities."""
    for layer in layers:
        _make_recordable(layer)
    calls: dict[int, list[_Call]] = {id(layer): [] for layer in layers}
    token = _calls.set(calls)
    try:
        yield calls
    finally:
        _calls.reset(token)


def _make_recordable(layer: keras.layers.Layer) -> None:
    """Has the layer tell of its calls, where they are being recorded."""
    call = layer.call
    if hasattr(call, "tells_of_calls"):
        return

    @functools.wraps(call)
    def tell(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        recorded = (_calls.get() or {}).get(id(layer))
        if recorded is not None:
            first = args[0] if args else next(iter(kwargs.values()))
            recorded.append(_Call(input=first, output=output))
        return output

    tell.tells_of_calls = True  # type: ignore[attr-defined]
    layer.call = tell


def _value(calls: Sequence[_Call], tap: Tap, model: keras.Model) -> tf.Tensor:
    name = f"layer {tap.path!r} of model {model.name!r}"
    if len(calls) != 1:
        times = f"{len(calls)} times" if calls else "not at all"
        raise ConfigError(
            f"{name} must be called once in a forward pass, got {times}; name another "
            "layer"
        )
    (call,) = calls
    value = call.input if tap.is_input else call.output
    if not isinstance(value, tf.Tensor):
        raise ConfigError(
            f"{name} must give one tensor, got {type(value).__name__}; name a layer "
            "inside of it, or after it"
        )
    if not tf.executing_eagerly() and value.graph is not _graph():
        raise ConfigError(
            f"{name} must be called in the forward pass itself, got a call inside of a "
            "loop or a condition; name the layer around it"
        )
    return value


def _graph() -> tf.Graph:
    graph: tf.Graph = tf.compat.v1.get_default_graph()
    return graph
