"""A set of TensorFlow Datasets, downloaded and prepared where it is not yet."""

import contextlib
import re
import sys

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

# Importing the bundled set makes TFDS know its name.
import trainer.data.mnist_mini  # noqa: F401
from trainer.config import DataConfig, places
from trainer.config.errors import nearest
from trainer.data.decode import reason
from trainer.data.examples import DataError

# What TFDS raises when it cannot fetch or write a dataset: its own errors, the HTTP
# client's (an OSError), and checksum or manual-download complaints.
_PREPARE_ERRORS = (OSError, ValueError, AssertionError, RuntimeError, tf.errors.OpError)

# And when it knows no such name, version or config, or cannot read the description of
# a prepared dataset.
_OPEN_ERRORS = (*_PREPARE_ERRORS, TypeError, json_format.ParseError)


def prepare(data: DataConfig) -> tfds.core.DatasetBuilder:
    """The builder of `data.dataset`, whose files are there.

    Raises:
      DataError: no such set, a failed download, or a damaged description.
    """
    builder = _prepared(data) if data.kind == "tfds" else _by_name(data)
    if not builder.info.splits:
        raise DataError(
            f"{data.dataset!r} in {builder.data_dir} is damaged: dataset_info.json "
            "names no splits; delete that folder and run again to prepare it anew"
        )
    return builder


def _by_name(data: DataConfig) -> tfds.core.DatasetBuilder:
    try:
        builder = tfds.builder(data.dataset, data_dir=data.data_dir or None)
    except _OPEN_ERRORS as error:
        raise DataError(
            f"{data.setting} must be a TensorFlow Datasets name, or one prepared in "
            f"data.data_dir ({data.data_dir!r}), got {data.dataset!r}: {reason(error)}"
            f"{_meant(data.dataset)}"
        ) from error
    try:
        # TFDS tells of a download on standard output, where a run's table belongs.
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare()
    except _PREPARE_ERRORS as error:
        raise DataError(
            f"{data.setting} {data.dataset!r} is not prepared in {builder.data_dir} "
            f"and could not be: {reason(error)}; set data.data_dir or TFDS_DATA_DIR to "
            "a folder that holds it, or to one that can be written on a machine with a "
            "network"
        ) from error
    return builder


def _meant(name: str) -> str:
    """The end of a sentence on a `name` that TFDS does not know: what it may be."""
    found = places.dataset_of(name)
    if found != name:
        return f"; there is {name} on the disk: write {found!r}"
    known = tfds.list_builders(with_community_datasets=False)
    asked, _, _ = nearest(re.split("[/:]", name)[0], known).partition("known")
    return f"; {asked.strip()}" if asked else ""


def _prepared(data: DataConfig) -> tfds.core.DatasetBuilder:
    """The set in a folder that TFDS or a user's own code has prepared."""
    try:
        return tfds.builder_from_directory(data.path)
    except (*_OPEN_ERRORS, KeyError) as error:
        raise DataError(
            f"{data.setting} must name a prepared folder with dataset_info.json after "
            f"'tfds:', got {data.path!r}: {reason(error)}; name the folder of its "
            f"version, such as {data.path}/1.0.0 ({places.path_hint(data.path)})"
        ) from error


def feature_keys(
    data: DataConfig, builder: tfds.core.DatasetBuilder
) -> tuple[str, str]:
    """The names of the image and of the label, which is "" where none is read.

    Raises:
      DataError: the set has no image of 8 bits, or no label where one is read.
    """
    features = dict(builder.info.features)
    keys = builder.info.supervised_keys or ("image", "label")
    found = [features.get(key) for key in keys]
    is_image = isinstance(found[0], tfds.features.Image)
    has_image = is_image and features[keys[0]].np_dtype == np.uint8
    if has_image and not data.is_labeled:
        return keys[0], ""
    has_label = len(found) == 2 and isinstance(found[1], tfds.features.ClassLabel)
    if not (has_image and has_label):
        label = " and a class label" if data.is_labeled else ""
        raise DataError(
            f"{data.setting} {data.dataset!r} must have an 8-bit image{label}, got the "
            f"features {', '.join(features)}; choose a set for classification"
        )
    return keys
