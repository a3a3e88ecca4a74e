"""Sets of images by their TFDS name. M = examples, H W = image."""

import contextlib
import dataclasses
import re
import sys
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

# Importing the bundled set makes TFDS know its name.
import trainer.data.mnist_mini  # noqa: F401
from trainer.config import DataConfig
from trainer.data import splits
from trainer.data.arrays import ArrayExamples
from trainer.data.examples import DataError

_READ_BATCH = 1024  # examples decoded at a time

# What TFDS raises when it cannot fetch or write a dataset: its own errors, the HTTP
# client's (an OSError), and checksum or manual-download complaints.
_PREPARE_ERRORS = (OSError, ValueError, AssertionError, RuntimeError, tf.errors.OpError)

# And when it knows no such name, version or config, or cannot read the description of
# a prepared dataset.
_OPEN_ERRORS = (*_PREPARE_ERRORS, TypeError, json_format.ParseError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsSource:
    """An opened set of TensorFlow Datasets; see trainer.data.source.Source."""

    builder: tfds.core.DatasetBuilder
    data: DataConfig
    image_key: str
    label_key: str
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    mean_and_variance: None = None  # images are normalised without the data's help

    @property
    def description(self) -> str:
        """One line on what was opened, and how batches are made of it."""
        counts = " + ".join(map(str, _num_examples(self)))
        shape = " x ".join(map(str, self.input_shape))
        return (
            f"{self.data.dataset}: {counts} examples of {len(self.class_names)} "
            f"classes, {shape}, {_num_bytes(self) / 1e6:.1f} MB decoded, in memory"
        )

    def read(self, split: str) -> ArrayExamples:
        """Every example of `split` (TFDS syntax), in the order of the set's files.

        Raises:
          DataError: a record file is damaged, or a label is outside the classes.
        """
        return _read(self, split)


def open_tfds(data: DataConfig) -> TfdsSource:
    """Prepares the dataset where it is not yet, and checks its splits and features.

    Raises:
      DataError: unknown dataset, failed download, unknown, empty or overlapping
        splits, features other than image and label, more than the memory budget.
    """
    builder = _builder(data)
    splits.check(data, builder)
    image_key, label_key = _feature_keys(data, builder)
    source = TfdsSource(
        builder=builder,
        data=data,
        image_key=image_key,
        label_key=label_key,
        input_shape=_input_shape(data, builder.info.features[image_key].shape),
        class_names=tuple(builder.info.features[label_key].names),
    )
    _check_memory(source)
    return source


def _read(source: TfdsSource, split: str) -> ArrayExamples:
    ids = splits.example_ids(source.builder, split)
    inputs = np.empty((len(ids), *source.input_shape), np.uint8)
    labels = np.empty(len(ids), np.int64)
    done = 0
    try:
        for batch in _decoded(source, split):
            count = len(batch["label"])
            inputs[done : done + count] = batch["input"]
            labels[done : done + count] = batch["label"]
            done += count
    except (tf.errors.OpError, ValueError) as error:
        raise _damaged(source, split, _reason(error)) from error
    if done != len(ids):
        raise _damaged(source, split, f"{done} of {len(ids)} examples are there")
    _check_labels(source, split, labels)
    return ArrayExamples(inputs=inputs, labels=labels.astype(np.int32), ids=ids)


def _builder(data: DataConfig) -> tfds.core.DatasetBuilder:
    try:
        builder = tfds.builder(data.dataset, data_dir=data.data_dir or None)
    except _OPEN_ERRORS as error:
        raise DataError(
            f"data.dataset must be a TensorFlow Datasets name, or one prepared in "
            f"data.data_dir ({data.data_dir!r}), got {data.dataset!r}: {_reason(error)}"
        ) from error
    try:
        # TFDS tells of a download on standard output, where a run's table belongs.
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare()
    except _PREPARE_ERRORS as error:
        raise DataError(
            f"data.dataset {data.dataset!r} is not prepared in {builder.data_dir} and "
            f"could not be: {_reason(error)}; set data.data_dir or TFDS_DATA_DIR to a "
            "folder that holds it, or to one that can be written on a machine with a "
            "network"
        ) from error
    if not builder.info.splits:
        raise DataError(
            f"{data.dataset!r} in {builder.data_dir} is damaged: dataset_info.json "
            "names no splits; delete that folder and run again to prepare it anew"
        )
    return builder


def _reason(error: Exception) -> str:
    """The first line, without the graph names that TensorFlow puts around it."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    graph = r"\{\{.*?\}\} ?|Error in user-defined .* Iterator::\S+ | ?\[Op:.*"
    return re.sub(graph, "", line)


def _feature_keys(
    data: DataConfig, builder: tfds.core.DatasetBuilder
) -> tuple[str, str]:
    features = builder.info.features
    keys = builder.info.supervised_keys or ("image", "label")
    if (
        len(keys) != 2
        or not set(keys) <= set(features)
        or not isinstance(features[keys[0]], tfds.features.Image)
        or not isinstance(features[keys[1]], tfds.features.ClassLabel)
        or features[keys[0]].np_dtype != np.uint8
    ):
        raise DataError(
            f"data.dataset {data.dataset!r} must have an 8-bit image and a class "
            f"label, got the features {', '.join(features)}; choose a set "
            "for classification"
        )
    return keys


def _input_shape(
    data: DataConfig, shape: tuple[int | None, ...]
) -> tuple[int, int, int]:
    height, width, channels = shape
    if data.image_size:
        height = width = data.image_size
    if height is None or width is None or channels is None:
        raise DataError(
            f"data.image_size must be set for {data.dataset!r}, whose images have "
            f"different sizes (shape {shape}); for example data.image_size = 96"
        )
    return height, width, channels


def _check_memory(source: TfdsSource) -> None:
    data = source.data
    needed = _num_bytes(source)
    if needed > data.memory_budget_bytes:
        raise DataError(
            f"data.memory_budget_bytes must cover the decoded images of "
            f"{data.dataset!r}, {needed} bytes, got {data.memory_budget_bytes}; raise "
            "it, lower data.image_size, or take smaller splits"
        )


def _num_examples(source: TfdsSource) -> list[int]:
    """How many train, select and test."""
    data = source.data
    return [
        len(splits.example_ids(source.builder, split))
        for split in (data.train_split, data.validation_split, data.test_split)
    ]


def _num_bytes(source: TfdsSource) -> int:
    """Of the decoded images of all splits."""
    return sum(_num_examples(source)) * int(np.prod(source.input_shape))


def _decoded(source: TfdsSource, split: str) -> Any:
    def select(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        image = example[source.image_key]
        if source.data.image_size:
            resized = tf.image.resize(image, source.input_shape[:2], antialias=True)
            image = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
        return {"input": image, "label": example[source.label_key]}

    # One file at a time, so that the order is that of the ids.
    order = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    dataset = source.builder.as_dataset(
        split=split, read_config=order, shuffle_files=False
    )
    dataset = dataset.map(select, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(_READ_BATCH).prefetch(1).as_numpy_iterator()


def _check_labels(source: TfdsSource, split: str, labels: np.ndarray) -> None:
    num_classes = len(source.class_names)
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        raise DataError(
            f"labels of {source.data.dataset!r} must be 0 to {num_classes - 1}, got "
            f"{labels[outside[0]]} in split {split!r} ({len(outside)} such examples); "
            "choose a labelled split, or mend the dataset"
        )


def _damaged(source: TfdsSource, split: str, reason: str) -> DataError:
    return DataError(
        f"split {split!r} of {source.data.dataset!r} in {source.builder.data_dir} is "
        f"damaged: {reason}; delete that folder and run again to prepare it anew"
    )
