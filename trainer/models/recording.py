"""Recording the calls of layers while the model that holds them is called."""

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer.config import ConfigError

# What one call of a model records. Each replica traces in a thread with its own, and
# models that share layers are called one by one.
_current: contextvars.ContextVar["Recording | None"] = contextvars.ContextVar(
    "recording", default=None
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a layer: its first argument, and its result."""

    input: Any
    output: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """The calls of some layers in one call of a model, in their order."""

    layers: Mapping[int, keras.layers.Layer]  # by their identities
    calls: list[tuple[int, Call]] = dataclasses.field(default_factory=list)

    def value(
        self, layer: keras.layers.Layer, *, is_input: bool, name: str
    ) -> tf.Tensor:
        """The input or the output of the only call of a layer, which is called `name`.

        Raises:
          ConfigError: there is none or another one, or it has no tensor in this graph.
        """
        calls = [call for key, call in self.calls if key == id(layer)]
        if len(calls) != 1:
            times = f"{len(calls)} times" if calls else "not at all"
            raise ConfigError(
                f"{name} must be called once in a forward pass, got {times}; name "
                "another layer"
            )
        value = calls[0].input if is_input else calls[0].output
        if not isinstance(value, tf.Tensor):
            raise ConfigError(
                f"{name} must give one tensor, got {type(value).__name__}; name a "
                "layer inside of it, or after it"
            )
        if not tf.executing_eagerly() and value.graph is not _graph():
            raise ConfigError(
                f"{name} must be called in the forward pass itself, got a call inside "
                "of a loop or a condition; name the layer around it"
            )
        return value

    def last_dense(self) -> keras.layers.Dense | None:
        """The Dense layer that was called last."""
        called = (self.layers[key] for key, _ in reversed(self.calls))
        return next((x for x in called if isinstance(x, keras.layers.Dense)), None)


@contextlib.contextmanager
def record(layers: Sequence[keras.layers.Layer]) -> Iterator[Recording]:
    """Records the calls of `layers` in the body."""
    for layer in layers:
        _make_recordable(layer)
    recording = Recording(layers={id(layer): layer for layer in layers})
    token = _current.set(recording)
    try:
        yield recording
    finally:
        _current.reset(token)


def _make_recordable(layer: keras.layers.Layer) -> None:
    """Has the layer tell of its calls, where they are being recorded."""
    call = layer.call
    if hasattr(call, "tells_of_calls"):
        return

    @functools.wraps(call)
    def tell(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        recording = _current.get()
        if recording and id(layer) in recording.layers:
            first = args[0] if args else next(iter(kwargs.values()))
            recording.calls.append((id(layer), Call(input=first, output=output)))
        return output

    tell.tells_of_calls = True  # type: ignore[attr-defined]
    layer.call = tell


def _graph() -> tf.Graph:
    graph: tf.Graph = tf.compat.v1.get_default_graph()
    return graph
