"""A set of labelled images in memory. M = examples, H W = image."""

import dataclasses

import numpy as np


class DataError(ValueError):
    """The data cannot be used; the message names the dataset, split and a way out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """Images with labels; `ids` are positions in the whole split they come from."""

    images: np.ndarray  # uint8 [M, H, W, channels]
    labels: np.ndarray  # int32 [M]
    ids: np.ndarray  # int64 [M]

    def __len__(self) -> int:
        return len(self.labels)


def without_labels(examples: Examples, excluded: tuple[int, ...]) -> Examples:
    """The examples whose label is not `excluded`.

    Raises:
      DataError: none is left.
    """
    kept = ~np.isin(examples.labels, excluded)
    if not kept.any():
        raise DataError(
            f"data.exclude_labels must leave some training examples, "
            f"got {list(excluded)}, which are all classes there are; name fewer"
        )
    return Examples(
        images=examples.images[kept],
        labels=examples.labels[kept],
        ids=examples.ids[kept],
    )
