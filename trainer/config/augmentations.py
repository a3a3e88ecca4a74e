"""The random views of images: augmentations by name, and their options."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated

from trainer.config.rules import MOST_PIXELS, above, between


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoAugmentOptions:
    """Images are used as stored."""


NO_AUGMENT = NoAugmentOptions()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftOptions:
    """Images move by whole pixels, drawn anew for each example and epoch."""

    # Largest shift along each axis; the border fills with 0.
    max_pixels: Annotated[int, between(1, MOST_PIXELS)] = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropFlipOptions:
    """Images move by whole pixels, and half of them are mirrored."""

    # Pixels of 0 around the image, of which a crop is taken.
    padding: Annotated[int, between(1, MOST_PIXELS)] = 4
    flip: bool = True  # left and right; off for digits and letters


@dataclasses.dataclass(frozen=True, kw_only=True)
class InceptionCropOptions:
    """A part of the image is enlarged to the whole, and half of them are mirrored."""

    min_area: Annotated[float, above(0, most=1)] = 0.08  # of the image's area
    flip: bool = True  # left and right; off for digits and letters


AUGMENTATIONS: Mapping[str, type] = {
    "none": NoAugmentOptions,
    "shift": ShiftOptions,
    "crop_flip": CropFlipOptions,
    "inception_crop": InceptionCropOptions,
}
