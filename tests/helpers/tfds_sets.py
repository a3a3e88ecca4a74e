"""Sets of images in the form of TFDS, prepared by the tests that read them."""

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from trainer import data
from trainer.config import DataConfig

NUM_TINY, NUM_TINY_FILES = 30, 3  # examples in the train split of Tiny, its files


def info(
    builder: tfds.core.DatasetBuilder, features: dict[str, object], **settings: object
) -> tfds.core.DatasetInfo:
    """The description of a set by its features."""
    return tfds.core.DatasetInfo(
        builder=builder, features=tfds.features.FeaturesDict(features), **settings
    )


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """30 + 6 images in three classes, filled with the number that gives the class."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(5, 4, 3)),
            "label": tfds.features.ClassLabel(names=["a", "b", "c"]),
        }
        return info(self, features, supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        del dl_manager  # nothing to download
        return {
            "train": self._generate_examples(NUM_TINY),
            "test": self._generate_examples(6),
        }

    def _generate_examples(self, count: int) -> Iterator:
        for i in range(count):
            yield i, {"image": np.full((5, 4, 3), i, np.uint8), "label": i % 3}


def prepare(builder_class: type, folder: pathlib.Path, num_files: int = 1) -> str:
    """Prepares a set in `folder`, and gives its name."""
    builder = builder_class(data_dir=folder)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=num_files)
    )
    return builder.name


def open_source(config: DataConfig) -> data.Source:
    """The source of a run that keeps no lists of files."""
    # Only folders of images have lists to keep.
    return data.open_source(config, pathlib.Path("/nowhere"))
