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

    image_key: Annotated[str, FILLED] = "image"
    label_key: Annotated[str, FILLED] = "label"  # of an integer from 0 on
    # "image" is an encoded JPEG or PNG file, "raw" the bytes of the values themselves,
    # "values" a list of numbers.
    encoding: Literal["image", "raw", "values"] = "image"
    # Of one example, which raw bytes and lists do not tell; of images the channels
    # may be told alone, as [3] or [1].
    shape: tuple[Count, ...] = ()
    dtype: Literal["uint8", "float32"] = "uint8"  # of raw bytes
    num_classes: CountOrNone = 0  # 0: as the largest label says


# By their prefix, or "name" of a set of TFDS; a function has options of its own.
DATASETS: Mapping[str, type] = {
    **dict.fromkeys(
        ("name", "folder", "list", "csv", "npz", "tfds", "memory"), NoDatasetOptions
    ),
    "tfrecord": TfrecordOptions,
}
