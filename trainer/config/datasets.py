"""The options of each kind of dataset."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

from trainer.config.rules import FILLED, Count, CountOrNone


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoDatasetOptions:
    """No options: a file, a folder or a set of TFDS says itself what is in it."""


NO_OPTIONS = NoDatasetOptions()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfrecordOptions:
    """The features of the examples in record files."""

    image_key: Annotated[str, FILLED] = "image"  # the name of the image, or of the row
    # The name of the label, an integer from 0 on.
    label_key: Annotated[str, FILLED] = "label"
    # How an example is written: "image" is an encoded JPEG or PNG file, "raw" the bytes
    # of the values themselves, "values" a list of numbers.
    encoding: Literal["image", "raw", "values"] = "image"
    # The shape of one example, which raw bytes and lists do not tell; of images the
    # channels may be told alone, as [3] or [1].
    shape: tuple[Count, ...] = ()
    dtype: Literal["uint8", "float32"] = "uint8"  # the type of raw bytes
    num_classes: CountOrNone = 0  # how many there are; 0: as the largest label says


# By their prefix, or "name" of a set of TFDS; a function has options of its own.
DATASETS: Mapping[str, type] = {
    **dict.fromkeys(
        ("name", "folder", "list", "csv", "npz", "tfds", "memory"), NoDatasetOptions
    ),
    "tfrecord": TfrecordOptions,
}
