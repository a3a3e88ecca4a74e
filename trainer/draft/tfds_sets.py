"""A look at a set of TensorFlow Datasets: its splits, and the sizes of some images."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainer.config import DataConfig
from trainer.data.examples import DataError
from trainer.data.tfds_builder import prepare
from trainer.data.tfds_source import TfdsSource, open_tfds
from trainer.draft import image_sizes, roles
from trainer.draft.findings import Findings

_LOOKED_AT = 48  # images whose size is read
_LABELS = 16  # that say whether a split has any


def look(dataset: str, given: Mapping[str, Any]) -> Findings:
    """The findings on a TFDS name, which is prepared where it is not yet.

    Raises:
      DataError: there is no such set, or it is none for image classification.
    """
    data = DataConfig(dataset=dataset, data_dir=given.get("data_dir", ""))
    known = prepare(data).info.splits
    counts = {k: info.num_examples for k, info in known.items() if info.num_examples}
    splits, _ = roles.choose(counts)
    # Any size does until those of the images are known.
    source = open_tfds(dataclasses.replace(data, image_size=32, **splits))
    unlabelled = tuple(name for name in counts if not _is_labelled(source, name))
    if len(unlabelled) == len(counts):
        raise DataError(
            f"{dataset!r} must have labels, got none in {', '.join(unlabelled)}; it is "
            "for data.unlabeled alone"
        )
    side, told = _side(source, next(name for name in counts if name not in unlabelled))
    is_set = "image_size" in given
    return Findings(
        dataset=dataset,
        counts=counts,
        unlabelled=unlabelled,
        settings={"image_size": side} if told and not is_set else {},
        notes={"image_size": told},
        examples="images",
        class_names=source.class_names,
        side=given["image_size"] if is_set else side,
    )


def _side(source: TfdsSource, split: str) -> tuple[int, str]:
    """Pixels a side, and where they are to be set why they are so many."""
    height, width, _ = source.builder.info.features[source.image_key].shape
    if height and width:
        return max(height, width), ""
    found = source.builder.as_dataset(
        split=_first(source, split, _LOOKED_AT), shuffle_files=False
    )
    shapes = [row[source.image_key].shape for row in found.as_numpy_iterator()]
    sizes = [(height, width) for height, width, _ in shapes]
    told = f"Images become such squares; those looked at are {image_sizes.text(sizes)}."
    return image_sizes.side(sizes), told


def _is_labelled(source: TfdsSource, split: str) -> bool:
    try:
        source.read(_first(source, split, _LABELS))
    except DataError:
        return False
    return True


def _first(source: TfdsSource, split: str, count: int) -> str:
    """A split of the first examples of a whole one, which may have fewer."""
    return f"{split}[:{min(count, source.whole_splits[split].num_examples)}]"
