"""Augmentations of images by name, and their options."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from trainer.config.earlier import options_without_later
from trainer.config.rules import MOST_PIXELS, above, between

# One, with its options, or several, one after another, with options by their names.
Augment = str | tuple[str, ...]

NOISE = "noise"

Value = Annotated[int, between(0, 255)]  # of a pixel, in all channels
Strength = Annotated[float, between(0, 1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoAugmentOptions:
    """Images are used as stored."""


NO_AUGMENT = NoAugmentOptions()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftOptions:
    """Images move by whole pixels, drawn anew for each example and epoch."""

    # The largest shift along each axis; the border fills with 0.
    max_pixels: Annotated[int, between(1, MOST_PIXELS)] = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropFlipOptions:
    """Images move by whole pixels, and half of them are mirrored."""

    # Pixels of 0 around the image, of which a crop is taken.
    padding: Annotated[int, between(1, MOST_PIXELS)] = 4
    flip: bool = True  # mirrors half of the images; off for digits and letters


@dataclasses.dataclass(frozen=True, kw_only=True)
class InceptionCropOptions:
    """A part of the image is enlarged to the whole, and half of them are mirrored."""

    # The smallest part that is shown, as a share of the image's area.
    min_area: Annotated[float, above(0, most=1)] = 0.08
    flip: bool = True  # mirrors half of the images; off for digits and letters
    # Where a part of an image file shrinks, pixels are means of those that they cover;
    # false: they lie between the nearest ones, as in TensorFlow's ResNets.
    antialias: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandAugmentOptions:
    """Some of 14 operations change the image, all as strongly."""

    number: Annotated[int, between(1, 14)] = 2  # operations, one after another
    # The strength of each operation; 10 is the widest range.
    magnitude: Annotated[float, between(0, 10)] = 9.0
    fill: Value = 0  # the value of pixels that come in from outside


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrivialAugmentOptions:
    """One of 14 operations changes the image, as strongly as is drawn."""

    fill: Value = 0  # the value of pixels that come in from outside


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorJitterOptions:
    """Colours change, by factors from 1 - strength to 1 + strength, in any order."""

    brightness: Strength = 0.4  # how much all values change
    contrast: Strength = 0.4  # how much their distance from the mean grey changes
    saturation: Strength = 0.4  # how much the distance of colours from grey changes
    # The furthest turn of the colours, as a share of the circle, either way.
    hue: Annotated[float, between(0, 0.5)] = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomErasingOptions:
    """A rectangle of the image is overwritten."""

    # The share of the images of which a rectangle is overwritten.
    probability: Annotated[float, between(0, 1)] = 0.5
    # The smallest rectangle, as a share of the image's area.
    min_area: Annotated[float, above(0, most=1)] = 0.02
    # The largest rectangle, as a share of the image's area.
    max_area: Annotated[float, above(0, most=1)] = 0.33
    # The most that the longer side may be, in shorter ones.
    max_aspect: Annotated[float, between(1, 100)] = 3.3
    # The value of all its pixels, or "noise", which is drawn for each.
    fill: Value | Literal["noise"] = 0


AUGMENTATIONS: Mapping[str, type] = {
    "none": NoAugmentOptions,
    "shift": ShiftOptions,
    "crop_flip": CropFlipOptions,
    "inception_crop": InceptionCropOptions,
    "rand_augment": RandAugmentOptions,
    "trivial_augment": TrivialAugmentOptions,
    "color_jitter": ColorJitterOptions,
    "random_erasing": RandomErasingOptions,
}

# One of them may begin a list.
CROPS = ("shift", "crop_flip", "inception_crop")


def names(augment: Augment) -> tuple[str, ...]:
    """Each augmentation, in their order."""
    return (augment,) if isinstance(augment, str) else augment


def text(augment: Augment) -> str:
    """The setting as TOML has it: 'shift', or ['shift', 'rand_augment']."""
    return repr(augment if isinstance(augment, str) else list(augment))


def with_options(
    augment: Augment, options: Any, *, setting: str
) -> tuple[tuple[str, Any, str], ...]:
    """Each augmentation, its options and the setting that these are, in their order."""
    if isinstance(augment, str):
        return ((augment, options, setting),)
    return tuple((name, options[name], f"{setting}.{name}") for name in augment)


def plain_options(options: Any, *, setting: str) -> dict[str, Any]:
    """The options of one or several as plain values, by their names.

    They are without those that came later and change nothing.
    """
    if isinstance(options, Mapping):
        return {
            name: plain_options(of_one, setting=f"{setting}.{name}")
            for name, of_one in options.items()
        }
    return options_without_later(setting, dataclasses.asdict(options))
