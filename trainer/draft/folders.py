"""A look at a folder or a list of images: its classes, splits and some sizes."""

import collections
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from trainer.config import DataConfig
from trainer.data.class_names import order
from trainer.data.decode import decode_with_alpha
from trainer.data.examples import DataError
from trainer.data.folder_classes import check_classes
from trainer.data.layout import Layout, layout_of
from trainer.data.small_classes import FEW
from trainer.draft import image_sizes
from trainer.draft.findings import Findings

_LOOKED_AT = 48  # images whose size is read


def look(dataset: str, given: Mapping[str, Any]) -> Findings:
    """The findings on "folder:PATH" or "list:FILE.csv"; settings `given` hold.

    Raises:
      DataError: there is no such folder or file, or its images have no classes.
    """
    data = DataConfig(
        dataset=dataset, label_column=given.get("label_column") or "label"
    )
    layout = layout_of(data)
    _check_classes(data, layout)
    paths = [path for images in layout.images.values() for path in images]
    sizes, num_damaged = _sizes(data.path, paths[:: -(-len(paths) // _LOOKED_AT)])
    side = given.get("image_size") or image_sizes.side(sizes)
    settings = {"image_size": side}
    notes = {"image_size": _note_on_squares(sizes)}
    if layout.others or num_damaged:
        settings["skip_corrupt"] = True
        notes["skip_corrupt"] = (
            "A run stops at damaged images and at files of other kinds otherwise. Of "
            f"{len(sizes) + num_damaged} images looked at {num_damaged} cannot be "
            f"decoded; files of other kinds in class folders: {len(layout.others)}."
        )
    classes = _classes(layout)
    rare, fewest = min(classes.items(), key=lambda item: item[1])
    if fewest < FEW:
        notes["dataset"] = f"The smallest class is {rare!r} with {fewest} images."
    return Findings(
        dataset=dataset,
        counts={split: len(images) for split, images in layout.images.items()},
        settings=settings,
        notes=notes,
        examples="images",
        class_names=order(classes),
        side=side,
    )


def _note_on_squares(sizes: Sequence[image_sizes.Size]) -> str:
    told = f"Images become such squares; those looked at are {image_sizes.text(sizes)}."
    if all(height == width for height, width in sizes):
        return told
    return (
        f'{told} All of each image is in it; with evaluate_view = "center_crop" it is '
        "the square in the middle, whose shapes keep their proportions."
    )


def _classes(layout: Layout) -> Mapping[str, int]:
    return collections.Counter(
        name for images in layout.images.values() for name in images.values()
    )


def _check_classes(data: DataConfig, layout: Layout) -> None:
    by_split = {split: set(images.values()) for split, images in layout.images.items()}
    check_classes(data, by_split)
    if next(iter(by_split.values())) == {""}:
        raise DataError(
            f"{data.dataset!r} must have class folders, PATH/CLASS/ or "
            "PATH/SPLIT/CLASS/, got images beside each other; sort them by their class"
        )


def _sizes(root: str, paths: Sequence[str]) -> tuple[list[image_sizes.Size], int]:
    """Sizes of the images that can be decoded, and the number of the others."""
    sizes = []
    for path in paths:
        try:
            with tf.io.gfile.GFile(os.path.join(root, path), "rb") as file:
                image, _ = decode_with_alpha(file.read())
        except tf.errors.OpError:
            continue
        height, width, _ = image.shape
        sizes.append((height, width))
    if not sizes:
        raise DataError(
            f"{root} must hold JPEG, PNG or WebP images that can be decoded, got "
            f"{len(paths)} of {len(paths)} that cannot, such as {paths[0]}; mend them"
        )
    return sizes, len(paths) - len(sizes)
