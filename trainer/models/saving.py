"""A model of a user's own code is written and read back before it is trained."""

import pathlib
import tempfile
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from trainer.config import ConfigError
from trainer.models.unknown_code import unknown_code
from trainer.models.weights import load_weights

_REASON_CHARACTERS = 200
_TOLERANCE = 1e-4
# Of the largest logit, in half precision: a layer that is given no precision has that
# of the process, which reads the file in float32.
_ROUNDING = 2e-2


def check_saving(
    build: Callable[[], keras.Model], examples: np.ndarray, *, setting: str
) -> None:
    """Writes a model of `build`, reads the file in both ways, and compares.

    A file is read as a whole model, by others, and as weights of a model that `build`
    gives, by later stages. `examples` [4, ...] are what the models are asked about;
    `setting` names the model's section.

    Raises:
      ConfigError: the model cannot be written or read, or comes back as another one.
    """
    model = build()
    _fill(model)
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        path = pathlib.Path(folder, "model.keras")
        # Keras tells most of what goes wrong here by an exception of a user's own code,
        # which may be of any kind.
        try:
            model.save(path)
        except Exception as error:
            raise _refusal(setting, "cannot be written", error) from error
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                whole = keras.models.load_model(path, compile=False)
        except Exception as error:
            raise _refusal(setting, "cannot be read back", error) from error
        again = build()
        load_weights(again, str(path), setting=f"{setting}.model, written to a file,")
        size = path.stat().st_size
    for other in (whole, again):
        _compare(model, other, examples, setting=setting, num_bytes=size)


def _fill(model: keras.Model) -> None:
    """Moves all weights a little, to where no initializer would put them again."""
    rng = np.random.default_rng(0)
    for variable in _weights(model):
        # Upwards, since variances are positive.
        step = rng.uniform(0.002, 0.012, variable.shape)
        variable.assign(_numpy(variable) + step)


def _weights(model: keras.Model) -> list[keras.Variable]:
    """The float variables, without the statistics that were given to a layer."""
    given = {
        id(variable)
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.Normalization)
        for variable in layer.variables
    }
    return [
        variable
        for variable in model.variables
        if keras.backend.is_float_dtype(variable.dtype) and id(variable) not in given
    ]


def _compare(
    model: keras.Model,
    other: keras.Model,
    examples: np.ndarray,
    *,
    setting: str,
    num_bytes: int,
) -> None:
    before, after = _weights(model), _weights(other)
    if len(before) != len(after):
        raise _refusal(
            setting,
            f"has {len(before)} weights, and {len(after)} when read back from its file",
        )
    for variable, read in zip(before, after, strict=True):
        if not np.array_equal(_numpy(variable), _numpy(read)):
            raise _refusal(
                setting, f"comes back with other values of {variable.path} from a file"
            )
    expected, given = (_numpy(net(examples, training=False)) for net in (model, other))
    largest = max(1.0, float(np.abs(expected).max()))
    tolerance = _ROUNDING * largest if _rounds(model) else _TOLERANCE
    if not np.allclose(
        expected, given, rtol=_TOLERANCE, atol=tolerance, equal_nan=True
    ):
        raise _refusal(
            setting,
            "gives other logits when read back from its file, by up to "
            f"{np.max(np.abs(expected - given)):.3g}",
        )


def _rounds(model: keras.Model) -> bool:
    """Whether a layer computes in half precision."""
    return any(
        layer.compute_dtype in ("bfloat16", "float16")
        for layer in model._flatten_layers()
    )


def _numpy(value: keras.Variable | tf.Tensor) -> np.ndarray:
    array: np.ndarray = keras.ops.convert_to_numpy(value)
    return array


def _refusal(setting: str, problem: str, error: Exception | None = None) -> ConfigError:
    unknown = unknown_code(error) if error else None
    way = (
        "give each class of yours a get_config, and register it with "
        "@keras.saving.register_keras_serializable()"
    )
    if unknown and unknown.is_lambda:
        way = f"make it of Keras's layers, or {way}"
    reason = f": {unknown.reason if unknown else _text(error)}" if error else ""
    return ConfigError(
        f"{setting}.model must be a model that can be saved before it is trained, got "
        f"one that {problem}{reason}; {way}"
    )


def _text(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:_REASON_CHARACTERS]
