"""The random views of images: augmentations by name, and their options."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from trainer.config.earlier import options_without_later
from trainer.config.rules import MOST_PIXELS, Rule, above, between

# One, with its options, or several, one after another, with options by their names.
Augment = str | tuple[str, ...]

NOISE = "noise"

Value = Annotated[int, between(0, 255)]  # of a pixel, in all channels
Strength = Annotated[float, between(0, 1)]
FILL = Rule(
    lambda value: value == NOISE or (type(value) is int and 0 <= value <= 255),
    f"a whole number of 0 to 255, or {NOISE!r}",
)


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
    # Where a part of an image file shrinks, pixels are means of those that they cover;
    # false: they lie between the nearest ones, as in TensorFlow's ResNets.
    antialias: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandAugmentOptions:
    """Some of 14 operations change the image, all as strongly."""

    number: Annotated[int, between(1, 14)] = 2  # of operations, one after another
    magnitude: Annotated[float, between(0, 10)] = 9.0  # of each; 10: the widest range
    fill: Value = 0  # of pixels that come in from outside


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrivialAugmentOptions:
    """One of 14 operations changes the image, as strongly as is drawn."""

    fill: Value = 0  # of pixels that come in from outside


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorJitterOptions:
    """Colours change, by factors from 1 - strength to 1 + strength, in any order."""

    brightness: Strength = 0.4
    contrast: Strength = 0.4  # distance from the mean grey
    saturation: Strength = 0.4  # distance from grey
    hue: Annotated[float, between(0, 0.5)] = 0.1  # of the circle, either way


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomErasingOptions:
    """A rectangle of the image is overwritten."""

    probability: Annotated[float, between(0, 1)] = 0.5  # of an image's being erased
    min_area: Annotated[float, above(0, most=1)] = 0.02  # of the image's area
    max_area: Annotated[float, above(0, most=1)] = 0.33
    max_aspect: Annotated[float, between(1, 100)] = 3.3  # of the longer side to another
    fill: Annotated[Any, FILL] = 0  # of all pixels, or "noise", drawn for each


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
