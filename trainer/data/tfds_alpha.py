"""Transparent pixels in sets of TensorFlow Datasets, which itself drops alpha.

A set that was made of image files has them in its records as they were. Its first
records tell whether some have transparent pixels. Of four channels that a set declares
nobody knows that the last one is alpha: models see them all.
"""

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator

import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath
from google.protobuf.message import DecodeError

from trainer import files, workdir
from trainer.config import IGNORE, DataConfig
from trainer.data import image_kind
from trainer.data.decode import opened
from trainer.data.examples import DataError

NUM_LOOKED_AT = 256  # records of each split

_MARK = "background.json"  # beside lists of files; what a run's images lie on


def num_transparent(
    builder: tfds.core.DatasetBuilder, key: str, names: Iterable[str]
) -> int:
    """How many of the first images of some splits have transparent pixels."""
    if builder.info.features[key].shape[-1] not in (1, 3):
        return 0
    count = 0
    # Damage is told where the images are read.
    with contextlib.suppress(tf.errors.OpError, ValueError, IndexError, DecodeError):
        for name in names:
            for image in _first(builder, key, name):
                count += image_kind.has_alpha(image) and opened(image)[1]
    return count


def check(data: DataConfig, lists: epath.Path) -> None:
    """Keeps what a run's transparent pixels lie on, and holds it to that.

    A run that had begun with a version that did not keep it drops alpha.

    Raises:
      DataError: data.background is another.
    """
    path = lists / _MARK
    # Of data.unlabeled the lists are in a folder of the run's.
    top = lists if lists.name == workdir.LISTS else lists.parent
    own = data.background_name
    if files.is_there(path):
        with files.reached(path):
            before = str(json.loads(path.read_text(encoding="utf-8"))["background"])
    else:
        before = IGNORE if workdir.kept(top.parent) else own
        files.write_json(path, {"background": before})
    if before != own:
        raise DataError(
            f"data.background must be {before}, with which the run has begun, for the "
            f"images of {data.dataset!r} with transparent pixels, got {own}; set it "
            "back, or choose another --workdir"
        )


def _first(builder: tfds.core.DatasetBuilder, key: str, name: str) -> Iterator[bytes]:
    """The first images of a split, as they are stored."""
    if builder.info.file_format is not tfds.core.FileFormat.TFRECORD:
        found = builder.as_dataset(
            split=name, decoders={key: tfds.decode.SkipDecoding()}, shuffle_files=False
        )
        for example in found.take(NUM_LOOKED_AT).as_numpy_iterator():
            yield example[key]
        return
    paths = [str(path) for path in builder.info.splits[name].filepaths]
    records = itertools.chain.from_iterable(
        tf.data.TFRecordDataset(path).as_numpy_iterator() for path in paths
    )
    for record in itertools.islice(records, NUM_LOOKED_AT):
        yield (
            tf.train.Example.FromString(record)
            .features.feature[key]
            .bytes_list.value[0]
        )
