"""Weights of a model from a file."""

import contextlib
import pathlib
import warnings
import zipfile
from typing import Any

import h5py
import keras

from trainer.config import ConfigError


def load_weights(
    model: keras.Model,
    path: str,
    *,
    setting: str,
    way_out: str = "choose the options that the file was saved with",
) -> None:
    """Sets every weight of `model` from a .keras or .weights.h5 file.

    Raises:
      ConfigError: no such file, no such format, or the weights of another model;
        `setting` names the setting ("teacher.weights") in the message, which ends in
        `way_out`.
    """
    if not path.endswith((".keras", ".weights.h5")):
        raise ConfigError(
            f"{setting} must end in .keras or .weights.h5, got {path!r}; "
            "save the model in one of these formats"
        )
    if not pathlib.Path(path).is_file():
        raise ConfigError(
            f"{setting} must name a file, got {path!r}: no such file; "
            "give its path from here, or an absolute one"
        )
    try:
        _load_exactly(model, path)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        # Keras names the layer in the first line, and its shapes in the third.
        lines = " ".join(str(error).strip().splitlines()[:3])
        reason = lines.partition(", value=")[0]
        # A subclassed model does not know the shape of its output.
        classes = getattr(model, "output_shape", ("its number of",))[-1]
        raise ConfigError(
            f"{setting} must hold the weights of a {model.name!r} with options as "
            f"configured and {classes} classes, got {path!r}: {reason}; {way_out}"
        ) from error


def _load_exactly(model: keras.Model, path: str) -> None:
    # Keras leaves in the file, without a word, what the model has no place for.
    surplus = _num_arrays(path) - len(model.variables)
    if surplus > 0:
        raise ValueError(f"the file has {surplus} arrays more than the model")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        model.load_weights(path)
    # Keras warns, and goes on, where the file has nothing for a layer.
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            raise ValueError(str(warning.message))


def _num_arrays(path: str) -> int:
    with contextlib.ExitStack() as stack:
        file: Any = path
        if path.endswith(".keras"):
            archive = stack.enter_context(zipfile.ZipFile(path))
            file = stack.enter_context(archive.open("model.weights.h5"))
        content = stack.enter_context(h5py.File(file))
        names: list[str] = []
        content.visit(names.append)
        return sum(
            isinstance(content[name], h5py.Dataset)
            for name in names
            if not name.startswith("optimizer/")
        )
