"""Weights of a model from a file."""

import collections
import contextlib
import pathlib
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from etils import epath

from trainer.config import ConfigError, places
from trainer.models.imagenet import load_imagenet
from trainer.storage import files, folders

# The end of a sentence on a file in Keras's format of before version 3.
LEGACY = (
    "; one of Keras's legacy .h5 becomes one by keras.models.load_model(OLD, "
    "compile=False).save('NEW.keras')"
)

_Shapes = list[tuple[int, ...]]
# Errors that Python, HDF5 and Keras raise for a damaged file, or one of another kind.
DAMAGE = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, OSError, EOFError),
    *(RuntimeError, OverflowError, MemoryError, struct.error, zlib.error),
    *(zipfile.BadZipFile, tf.errors.OpError),
)


def load_weights(
    model: keras.Model,
    path: str,
    *,
    setting: str,
    options: Mapping[str, Any] | None = None,
    hint: str = "choose the options that the file was saved with",
) -> None:
    """Sets every weight of `model` from a .keras or .weights.h5 file.

    `path` may be "imagenet" for a model of keras.applications, built with `options` of
    Keras's, whose head stays as it is unless there are 1000 classes.

    Raises:
      ConfigError: no such file or format, or another model's weights; the message
        begins with `setting` ("teacher.weights") and ends in `hint`.
    """
    if path == "imagenet":
        load_imagenet(model, options or {}, setting=setting)
        return
    if not path.endswith((".keras", ".weights.h5")):
        raise ConfigError(
            f"{setting} must end in .keras or .weights.h5, got {path!r}; save the "
            f"model in one of these formats{LEGACY}"
        )
    file = files.path_of(path, setting=setting)
    if not files.exists(file):
        raise ConfigError(
            f"{setting} must name a file, got {path!r}: no such file; "
            f"{places.path_hint(path)}"
        )
    check_told(file, setting=setting)
    wrong = f"{setting} must hold the weights of a {model.name!r} with options as"
    with files.local_copy(file) as local:
        try:
            _load_exactly(model, str(local))
        except DAMAGE as error:
            reason = _reason(model, path, str(local), error)
            raise ConfigError(f"{wrong} configured{reason}; {hint}") from error


def check_told(file: epath.Path, *, setting: str) -> None:
    """Compares a file with the SHA-256 in the file FILE.sha256 beside it, if any.

    Raises:
      ConfigError: it has another one; `setting` names it.
    """
    told = epath.Path(f"{file}.sha256")
    with files.wrap_read_errors(told, disks_too=True):
        content = files.read(told)
        if content is None:
            return
        words = content.decode(errors="replace").split()
        found = folders.checksum(file)
    if [word.lower() for word in words[:1]] != [found]:
        raise ConfigError(
            f"{setting} must be the file that {told} tells of, whose SHA-256 is "
            f"{(words or ['not there'])[0][:80]!r}, got {str(file)!r} with {found}; it "
            f"is damaged or another: put it back, or remove {told.name}"
        )


def check_archive(path: pathlib.Path) -> None:
    """Compares all that is in a .keras file with its checksums: Keras does not.

    Raises:
      one of DAMAGE: the file is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged:
        raise zipfile.BadZipFile(f"its checksum of {damaged!r} is another")


def _reason(model: keras.Model, path: str, local: str, error: Exception) -> str:
    """The end of the sentence: both numbers of classes, where they are all it is."""
    # A subclassed model does not know the shape of its output.
    classes = getattr(model, "output_shape", ("its number of",))[-1]
    try:
        wanted = [tuple(variable.shape) for variable in _stored_variables(model)]
        found = _other_classes(wanted, _shapes(local))
    except DAMAGE:
        found = None
    if found:
        return f" and {classes} classes, got {path!r} with {found} classes"
    # Keras names the layer in the first line, and its shapes in the third.
    lines = " ".join(str(error).strip().splitlines()[:3])
    reason = lines.partition(", value=")[0]
    return f" and {classes} classes, got {path!r}: {reason}"


def _other_classes(wanted: _Shapes, found: _Shapes) -> int | None:
    """The classes of a file whose head alone differs, in its last axis alone."""
    missing = collections.Counter(wanted) - collections.Counter(found)
    surplus = collections.Counter(found) - collections.Counter(wanted)
    sides = [sorted(side.elements()) for side in (missing, surplus)]
    fronts = [sorted(shape[:-1] for shape in shapes) for shapes in sides]
    ends = [{shape[-1] for shape in shapes if shape} for shapes in sides]
    if fronts[0] != fronts[1] or [len(end) for end in ends] != [1, 1]:
        return None
    return ends[1].pop()


def _load_exactly(model: keras.Model, path: str) -> None:
    if path.endswith(".keras"):
        check_archive(pathlib.Path(path))
    # Keras leaves in the file, without a word, what the model has no place for.
    surplus = len(_shapes(path)) - len(_stored_variables(model))
    if surplus > 0:
        raise ValueError(f"the file has {surplus} arrays more than the model")
    before = _normalisation(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        model.load_weights(path)
    # Keras warns, and goes on, where the file has nothing for a layer.
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            raise ValueError(str(warning.message))
    # EfficientNet's, which Keras leaves out where it has no ImageNet weights.
    if not np.allclose(before, _normalisation(model)):
        raise ValueError("the file's images are normalised otherwise than ImageNet's")


def _normalisation(model: keras.Model) -> np.ndarray:
    """Mean and variance that layers of the model hold as weights, one after another."""
    values = [
        np.ravel(weight)
        for layer in model.layers
        if isinstance(layer, keras.layers.Normalization)
        for weight in layer.get_weights()[:2]
    ]
    return np.concatenate([np.empty(0), *values])


def _stored_variables(model: keras.Model) -> list[keras.Variable]:
    """The variables that files hold: all but the random state of Keras's dropout."""
    return [v for v in model.variables if "seed_generator" not in v.path]


def _shapes(path: str) -> _Shapes:
    """The shapes in the file, without the random state of Keras's dropout."""
    with contextlib.ExitStack() as stack:
        file: Any = path
        if path.endswith(".keras"):
            archive = stack.enter_context(zipfile.ZipFile(path))
            file = stack.enter_context(archive.open("model.weights.h5"))
        content = stack.enter_context(h5py.File(file))
        names: list[str] = []
        content.visit(names.append)
        return [
            tuple(content[name].shape)
            for name in names
            if isinstance(content[name], h5py.Dataset)
            # A compiled model, also one inside, keeps the state of its optimizer.
            and "optimizer" not in name.split("/")
            and "seed_generator" not in name
        ]
