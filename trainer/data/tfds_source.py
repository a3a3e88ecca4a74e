"""Sets of images by their TFDS name. M = examples, H W = image."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import trainer.data.mnist_mini  # noqa: F401, by which TFDS knows its name
from trainer.config import Colour, DataConfig
from trainer.data import keeping, splits, tfds_looks, transparency
from trainer.data.arrays import ArrayExamples
from trainer.data.decode import reason
from trainer.data.decoders import decoded
from trainer.data.description import describe
from trainer.data.encoded_images import EncodedImages
from trainer.data.examples import Batch, DataError, Examples
from trainer.data.file_contents import summarise
from trainer.data.host_memory import empty
from trainer.data.record_files import RecordFiles
from trainer.data.records import RecordExamples
from trainer.data.tfds_builder import feature_keys, prepare
from trainer.data.tfds_images import TfdsImages

_READ_BATCH = 1024  # examples decoded at a time
_FINGERPRINTED = 16  # examples; a prepared set does not change under its version


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsSource:
    """An opened set of TensorFlow Datasets; see trainer.data.source.Source."""

    builder: tfds.core.DatasetBuilder
    data: DataConfig
    image_key: str
    label_key: str  # "" where labels are not read
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    mean_and_variance: None = None  # images are normalised without the data's help
    input_dtype: str = "uint8"
    value_range: None = None  # all that 8 bits have
    num_transparent: int = 0  # of those that were looked at
    has_jpegs: bool = False  # among them

    @functools.cached_property
    def num_examples(self) -> tuple[int, ...]:
        """The number of examples in each split of the config."""
        every, whole = self.data.splits.values(), self.whole_splits
        return tuple(len(splits.example_ids(whole, split)) for split in every)

    @property
    def num_bytes(self) -> int:
        """The size of the decoded images."""
        return sum(self.num_examples) * int(np.prod(self.input_shape))

    @property
    def background(self) -> Colour | None:
        """The colour behind transparent pixels where some are; None drops alpha."""
        return self.data.background_colour if self.num_transparent else None

    @property
    def images(self) -> TfdsImages:
        """Decodes its images."""
        return TfdsImages(
            key=self.image_key,
            feature=self.builder.info.features[self.image_key],
            background=self.background,
            shape=self.input_shape,
            view=self.data.view if self.data.image_size else None,
            has_jpegs=self.has_jpegs,
        )

    @property
    def is_streamed(self) -> bool:
        """Whether they are read when they are asked for, encoded as they are."""
        return keeping.resolve(self.data, self.num_bytes) == keeping.FILES

    @property
    def description(self) -> str:
        """One line on what was opened."""
        most = f"of the first {tfds_looks.NUM_LOOKED_AT} of each split"
        note = f"{self.num_transparent} {most} {transparency.note(self.data)}"
        return describe(
            self.data,
            num_examples=self.num_examples,
            num_classes=len(self.class_names),
            input_shape=self.input_shape,
            num_bytes=self.num_bytes,
            pipeline="streamed" if self.is_streamed else "in memory",
            notes=[note] if self.num_transparent else [],
        )

    @property
    def whole_splits(self) -> splits.Whole:
        """The splits that the set was prepared with."""
        known: splits.Whole = self.builder.info.splits
        return known

    @functools.cached_property
    def contents(self) -> Mapping[str, str]:
        """A summary of the files of a folder, whose name says nothing of them."""
        found = self.files if self.data.kind == "tfds" else {}
        return {name: summarise(paths) for name, paths in found.items()}

    @property
    def files(self) -> Mapping[str, list[str]]:
        """The paths of the files of each whole split that is used."""
        names = splits.used_splits(self.data, self.whole_splits)
        return splits.files_of(self.whole_splits, names)

    def fingerprint(self, split: str, *, num_ids: int) -> str:
        """SHA-256 of the set's name and version, its files, and its first examples."""
        digest = hashlib.sha256(repr((*_about(self, split), num_ids)).encode())
        if self.background is not None:
            digest.update(self.data.background_name.encode())
        first = self.read(f"{split}[:{min(num_ids, _FINGERPRINTED)}]")
        digest.update(first.read(np.arange(len(first))).tobytes())
        return digest.hexdigest()

    def read(self, split: str) -> Examples:
        """Every example of `split` (TFDS syntax), in the order of the set's files.

        Raises:
          DataError: a record file is damaged, or a label is outside the classes; where
            the set is streamed, the labels of the examples raise it.
        """
        return _stream(self, split) if self.is_streamed else _read(self, split)


def open_tfds(data: DataConfig) -> TfdsSource:
    """Prepares the dataset where it is not yet, and checks its splits and features.

    Raises:
      DataError: unknown dataset, failed download, unknown, empty or overlapping
        splits, features other than image and label, more than the memory budget in
        files that cannot be streamed.
    """
    builder = prepare(data)
    splits.check(data, builder.info.splits)
    image_key, label_key = feature_keys(data, builder)
    source = TfdsSource(
        builder=builder,
        data=data,
        image_key=image_key,
        label_key=label_key,
        input_shape=_input_shape(data, builder.info.features[image_key].shape),
        class_names=tuple(builder.info.features[label_key].names) if label_key else (),
    )
    keeping.check_files(data, source.num_bytes, builder.info.file_format.value)
    names = splits.used_splits(data, builder.info.splits)
    seen = tfds_looks.look(builder, image_key, names)
    return dataclasses.replace(source, **seen._asdict())


def _read(source: TfdsSource, split: str) -> ArrayExamples:
    ids = splits.example_ids(source.builder.info.splits, split)
    inputs = empty((len(ids), *source.input_shape), np.uint8)
    labels = np.empty(len(ids), np.int64)
    done = 0
    try:
        for batch in _decode(source, split):
            count = len(batch["label"])
            inputs[done : done + count] = batch["input"]
            labels[done : done + count] = batch["label"]
            done += count
    except (tf.errors.OpError, ValueError) as error:
        raise _damage_error(source, split, reason(error)) from error
    if done != len(ids):
        raise _damage_error(source, split, f"{done} of {len(ids)} examples are there")
    if source.label_key:
        _check_labels(source, split, labels)
    return ArrayExamples(inputs=inputs, labels=labels.astype(np.int32), ids=ids)


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


def _stream(source: TfdsSource, split: str) -> RecordExamples:
    whole = source.builder.info.splits
    ids, stretches = splits.example_ids(whole, split), whole[split].file_instructions
    names = splits.whole_names(whole, split)
    files = RecordFiles(
        paths=tuple(str(stretch.filename) for stretch in stretches),
        skips=np.array([stretch.skip for stretch in stretches], np.int64),
        # Of a part like train[9:4] it is negative.
        takes=np.array([max(0, stretch.take) for stretch in stretches], np.int64),
        ids=ids,
        format=_TfdsFormat(source=source, split=split),
        identity=repr([_about(source, name) for name in names]),
        record_bytes=splits.record_bytes(whole, names),
    )
    return RecordExamples(
        files=files,
        rows=np.arange(len(files.ids)),
        window=source.data.shuffle_window,
        num_threads=source.data.num_threads,
    )


def _about(source: TfdsSource, name: str) -> tuple[object, ...]:
    """The version of the set, and the size of a whole split and of its files."""
    info = source.builder.info.splits[name]
    return source.builder.info.full_name, info.num_bytes, info.shard_lengths


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TfdsFormat:
    """The records of a split; see trainer.data.record_files.RecordFormat."""

    source: TfdsSource
    split: str

    @property
    def encoded(self) -> EncodedImages | None:
        return self.source.images.encoded(self._parse)

    def decode(self, record: tf.Tensor) -> Batch:
        return self.source.images.decode(self._parse(record))

    def _parse(self, record: tf.Tensor) -> Batch:
        features = self._features(self.source.image_key, self.source.label_key)
        decoders = self.source.images.decoders
        found = features.deserialize_example(record, decoders=decoders)
        # The labels of a training split are not read before its images.
        example, last = _parsed(self.source, found), len(self.source.class_names) - 1
        label = example["label"]
        rule = f"labels of {self.source.data.dataset!r} must be 0 to {last}, got"
        tf.debugging.Assert((label >= 0) & (label <= last), [rule, label])
        return example

    def decode_labels(self, records: tf.Tensor) -> tf.Tensor:
        key = self.source.label_key
        return tf.io.parse_example(records, self._features(key).tf_example_spec)[key]

    def check_labels(self, labels: np.ndarray) -> None:
        _check_labels(self.source, self.split, labels)

    def damage_error(self, error: Exception) -> DataError:
        return _damage_error(self.source, self.split, reason(error))

    def _features(self, *keys: str) -> tfds.features.FeaturesDict:
        """Some features alone, so that no other is decoded."""
        every = self.source.builder.info.features
        return tfds.features.FeaturesDict({key: every[key] for key in keys})


def _parsed(source: TfdsSource, found: dict[str, tf.Tensor]) -> Batch:
    label = found[source.label_key] if source.label_key else tf.constant(-1)
    return {"contents": found[source.image_key], "label": label}


def _decode(source: TfdsSource, split: str) -> Any:
    dataset = source.builder.as_dataset(
        split=split,
        # One file at a time, so that the order is that of the ids.
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        shuffle_files=False,
        decoders=source.images.decoders,
    )

    def decode(found: dict[str, tf.Tensor]) -> Batch:
        return source.images.decode(_parsed(source, found))

    images = decoded(dataset, decode, num_threads=source.data.num_threads)
    return images.batch(_READ_BATCH).prefetch(1).as_numpy_iterator()


def _check_labels(source: TfdsSource, split: str, labels: np.ndarray) -> None:
    num_classes = len(source.class_names)
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        raise DataError(
            f"labels of {source.data.dataset!r} must be 0 to {num_classes - 1}, got "
            f"{labels[outside[0]]} in split {split!r} ({len(outside)} such examples); "
            "choose a labelled split, or mend the dataset"
        )


def _damage_error(source: TfdsSource, split: str, reason: str) -> DataError:
    return DataError(
        f"split {split!r} of {source.data.dataset!r} in {source.builder.data_dir} is "
        f"damaged: {reason}; delete that folder and run again to prepare it anew"
    )
