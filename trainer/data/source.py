"""Datasets by name: what the splits of one share, and where to read them."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from etils import epath

from trainer.config import DataConfig
from trainer.data import splits
from trainer.data.examples import DataError, Examples
from trainer.data.folder import open_folder
from trainer.data.given import GivenData
from trainer.data.given_source import open_given
from trainer.data.tables import open_table
from trainer.data.tfds_source import open_tfds
from trainer.data.tfrecord_source import open_tfrecord


class Source(Protocol):
    """An opened dataset, whose splits and features are checked."""

    @property
    def data(self) -> DataConfig:
        """The section it was opened for."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example: (H, W, channels) of an image, or (features,)."""

    @property
    def input_dtype(self) -> str:
        """The type of an example: "uint8" of images, "float32" or "float64" of rows.

        Of Python objects images and others may be float32.
        """

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The smallest and the largest value where no type and no statistics tell."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label."""

    @property
    def mean_and_variance(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Statistics of each feature over the training split; None for images."""

    @property
    def num_bytes(self) -> int:
        """The size of the decoded examples of the config's splits."""

    @property
    def description(self) -> str:
        """One line on what was opened, and how batches are made of it."""

    @property
    def whole_splits(self) -> splits.Whole:
        """The whole splits there are, and how many ids each has."""

    @property
    def num_transparent(self) -> int:
        """Images with transparent pixels that lie on data.background."""

    @property
    def contents(self) -> Mapping[str, str]:
        """A summary of each part, which a run keeps; none where its lists tell."""

    def fingerprint(self, split: str, *, num_ids: int) -> str:
        """SHA-256 of what the first `num_ids` examples of a whole split are."""

    def read(self, split: str) -> Examples:
        """The examples of `split`, in the order of their ids.

        Raises:
          DataError: a file is damaged, or a label is outside the classes.
        """


def open_source(
    data: DataConfig,
    index_dir: epath.Path,
    *,
    may_write: bool = True,
    given: GivenData | None = None,
) -> Source:
    """Opens `data.dataset`, or what is `given` for it, and checks splits and features.

    A new kind of dataset is a `Source` in a file beside this one and a branch here. Its
    prefix stands in `trainer/config/places.py`, a property that tells it in
    DataConfig (`trainer/config/data.py`), its checks in `relations.py` there, and
    whether it may move between starts in `identity.py`.

    A folder's lists of files are kept in `index_dir`, and hold when it is opened
    again, unless it belongs to another process to write there.

    Raises:
      DataError: the dataset, a split or a setting of the section cannot be used.
    """
    source: Source
    if data.is_folder:
        source = open_folder(data, index_dir, may_write=may_write)
    elif data.is_table:
        source = open_table(data)
    elif data.is_given:
        source = open_given(data, given, index_dir, may_write=may_write)
    elif data.kind == "tfrecord":
        source = open_tfrecord(data, index_dir, may_write=may_write)
    else:
        source = open_tfds(data)
    _check_classes(data, source)
    _check_excluded(data, source)
    return source


def _check_classes(data: DataConfig, source: Source) -> None:
    if len(source.class_names) < 2:
        raise DataError(
            f"{data.dataset!r} must have two classes or more, got "
            f"{', '.join(source.class_names) or 'images without class folders'}; a run "
            "needs labels that tell examples apart"
        )


def _check_excluded(data: DataConfig, source: Source) -> None:
    num_classes = len(source.class_names)
    outside = [label for label in data.exclude_labels if label >= num_classes]
    if outside:
        raise DataError(
            f"data.exclude_labels must be labels of {data.dataset!r}, which are "
            f"0 to {num_classes - 1}, got {outside}; name classes by their numbers"
        )
