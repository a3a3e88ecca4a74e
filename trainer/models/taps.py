"""Outputs of layers inside a model, recorded while the model is called.

A layer is named by its path: the names of the networks that hold it, from the outside,
and its own, as in "backbone/conv4_block6_out". "embedding" names the input of the last
Dense layer.
"""

import contextlib
import dataclasses
import difflib
import itertools
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer.config import EMBEDDING, ConfigError
from trainer.models.recording import Recording, record


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tap:
    """A place in a model whose values are recorded."""

    path: str  # of a layer
    is_input: bool = False  # its input, and not its output


# The Dense layer that a forward pass calls last, which only the call itself tells.
_LAST_DENSE = Tap(path="", is_input=True)


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
        if name == EMBEDDING:
            _check_dense(layers, setting)
            found[name] = _LAST_DENSE
            continue
        same = layers.get(name, [])
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
        found[name] = Tap(path=name)
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
    tapped = {name: layers[tap.path][0] for name, tap in taps.items() if tap.path}
    dense = _dense_layers(layers) if len(tapped) < len(taps) else {}
    with record([*tapped.values(), *dense.values()]) as recording:
        output = model(inputs, training=training)
    values = {
        name: recording.value(
            layer,
            is_input=taps[name].is_input,
            name=_title(taps[name].path, model),
        )
        for name, layer in tapped.items()
    }
    for name in taps.keys() - tapped.keys():
        path = _last_dense(recording, dense, output, model)
        title = _title(path, model)
        values[name] = recording.value(dense[path], is_input=True, name=title)
    return output, values


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
    return {
        name: example_shape(value, name=name, model=model, count=len(examples))
        for name, value in values.structured_outputs.items()
    }


def example_shape(
    value: tf.Tensor | tf.TensorSpec, *, name: str, model: keras.Model, count: int
) -> tuple[int, ...]:
    """The shape of one example's values at the layer `name`, in a batch of `count`.

    Raises:
      ConfigError: they are not of one shape, no floats, or not of an example each.
    """
    shape = value.shape
    is_sized = shape.rank is not None and shape.rank > 1 and None not in shape[1:]
    if not (is_sized and value.dtype.is_floating and shape[0] in (None, count)):
        raise ConfigError(
            f"layer {name!r} of model {model.name!r} must give floats of one shape "
            f"[batch, ..., channels], got {value.dtype.name} of shape {shape} for a "
            f"batch of {count}; name another layer"
        )
    return tuple(shape[1:])


def recordable(
    model: keras.Model, examples: np.ndarray
) -> dict[str, tuple[int | None, ...]]:
    """The shape of one example's output of each layer that can be recorded.

    They are in the order in which a forward pass ends them.
    Nothing of the `examples` is computed.
    """
    layers = {p: same[0] for p, same in layers_by_path(model).items() if len(same) == 1}
    shapes = {}

    def call(inputs: tf.Tensor) -> tf.Tensor:
        with record(list(layers.values())) as recording:
            output = model(inputs, training=False)
        paths = {id(layer): path for path, layer in layers.items()}
        for path in dict.fromkeys(paths[key] for key, _ in recording.calls):
            with contextlib.suppress(ConfigError):
                title = _title(path, model)
                value = recording.value(layers[path], is_input=False, name=title)
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


def embedding_path(model: keras.Model, examples: np.ndarray) -> str:
    """The path of the Dense layer whose input the name "embedding" means.

    Nothing of the `examples` is computed.

    Raises:
      ConfigError: it gives no logits.
    """
    dense = _dense_layers(layers_by_path(model))
    found = []

    def call(inputs: tf.Tensor) -> tf.Tensor:
        with record(list(dense.values())) as recording:
            output = model(inputs, training=False)
        found.append(_last_dense(recording, dense, output, model))
        return output

    spec = tf.TensorSpec(examples.shape, examples.dtype)
    tf.function(call, autograph=False).get_concrete_function(spec)
    return found[0]


def _dense_layers(
    layers: Mapping[str, Sequence[keras.layers.Layer]],
) -> dict[str, keras.layers.Dense]:
    """The Dense layers by their paths."""
    return {
        path: same[0]
        for path, same in layers.items()
        if len(same) == 1 and isinstance(same[0], keras.layers.Dense)
    }


def _last_dense(
    recording: Recording,
    dense: Mapping[str, keras.layers.Dense],
    logits: tf.Tensor,
    model: keras.Model,
) -> str:
    """The path of the Dense layer that was called last, which gives as many logits."""
    last = recording.last_dense()
    path = next((path for path, layer in dense.items() if layer is last), "")
    units = last.units if last else 0
    if units != logits.shape[-1]:
        raise ConfigError(
            f"{EMBEDDING!r} of model {model.name!r} must be the input of a Dense layer "
            f"that gives its {logits.shape[-1]} logits, got {path!r} of {units} as the "
            "last one that is called; name another layer"
        )
    return path


def _check_dense(
    layers: Mapping[str, Sequence[keras.layers.Layer]], setting: str
) -> None:
    """Refuses a model in which "embedding" means nothing, or something else."""
    if EMBEDDING in layers:
        raise ConfigError(
            f"{setting} = {EMBEDDING!r} means the input of the last Dense layer, got a "
            "model with a layer of that name; give that layer another name, or name "
            "another layer"
        )
    if not _dense_layers(layers):
        raise ConfigError(
            f"{setting} = {EMBEDDING!r} must have a Dense layer, whose input it is, "
            f"got none in the model; {_offer(EMBEDDING, layers)}"
        )


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


def _title(path: str, model: keras.Model) -> str:
    return f"layer {path!r} of model {model.name!r}"
