"""Weights of a model from a file."""

import pathlib
import warnings

import keras

from trainer.config import ConfigError


def load_weights(model: keras.Model, path: str, *, setting: str) -> None:
    """Sets every weight of `model` from a .keras or .weights.h5 file.

    Raises:
      ConfigError: no such file, no such format, or the weights of another model;
        `setting` names the setting ("teacher.weights") in the message.
    """
    if not path.endswith((".keras", ".weights.h5")):
        raise ConfigError(
            f"{setting} must end in .keras or .weights.h5, got {path!r}; "
            "save the model in one of these formats"
        )
    if not pathlib.Path(path).is_file():
        raise ConfigError(f"{setting} must name a file, got {path!r}: no such file")
    try:
        with warnings.catch_warnings():
            # Keras warns, and goes on, where the file has nothing for a layer.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"{setting} must hold the weights of a {model.name!r} with options as "
            f"configured and {model.output_shape[-1]} classes, got {path!r}: {reason}"
        ) from error
