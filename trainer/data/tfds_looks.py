"""Looks at the first images of a set of TensorFlow Datasets, as they are stored.

A set that was made of image files has them in its records as they were. TFDS itself
drops alpha: the first records tell whether some have transparent pixels. Of four
channels that a set declares nobody knows that the last one is alpha: models see all.
"""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf.message import DecodeError

from trainer.data import image_kind
from trainer.data.decode import decode_with_alpha

NUM_LOOKED_AT = 256  # records of each split


class Look(NamedTuple):
    """The first images as they are found."""

    num_transparent: int = 0  # with transparent pixels
    has_jpegs: bool = False


def look(builder: tfds.core.DatasetBuilder, key: str, names: Iterable[str]) -> Look:
    """A look at the first images of some splits."""
    if builder.info.features[key].shape[-1] not in (1, 3):
        return Look()
    count, has_jpegs = 0, False
    # Damage is told where the images are read.
    with contextlib.suppress(tf.errors.OpError, ValueError, IndexError, DecodeError):
        for name in names:
            for image in _first(builder, key, name):
                has_jpegs = has_jpegs or image_kind.is_jpeg(image)
                count += image_kind.has_alpha(image) and decode_with_alpha(image)[1]
    return Look(count, has_jpegs)


def _first(builder: tfds.core.DatasetBuilder, key: str, name: str) -> Iterator[bytes]:
    """The first images of a split, as they are stored."""
    if builder.info.file_format is not tfds.core.FileFormat.TFRECORD:
        found = builder.as_dataset(
            split=name, decoders={key: tfds.decode.SkipDecoding()}, shuffle_files=False
        )
        for example in found.take(NUM_LOOKED_AT).as_numpy_iterator():
            yield example[key]
        return
    yield from first_images([str(p) for p in builder.info.splits[name].filepaths], key)


def first_images(paths: Sequence[str], key: str) -> Iterator[bytes]:
    """The first images in TFRecord files of tf.train.Example, as they are stored."""
    records = itertools.chain.from_iterable(
        tf.data.TFRecordDataset(path).as_numpy_iterator() for path in paths
    )
    for record in itertools.islice(records, NUM_LOOKED_AT):
        yield (
            tf.train.Example.FromString(record)
            .features.feature[key]
            .bytes_list.value[0]
        )
