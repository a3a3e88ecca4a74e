"""Random views of images: pure functions of (seed, epoch, example id).

Shapes: B = examples, H W = image.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer import prng
from trainer.config import (
    ConfigError,
    CropFlipOptions,
    InceptionCropOptions,
    NoAugmentOptions,
    RandomErasingOptions,
    ShiftOptions,
    with_options,
)
from trainer.data.image_parts import (
    enlarge,
    inception_boxes,
    inception_parts,
    relative_shape,
)
from trainer.data.random_operations import (
    color_jitter,
    overwrite,
    rand_augment,
    trivial_augment,
)

# Images [B, H, W, channels] and uint32 keys [B] to images of the same type.
Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augment:
    """The random views of a training: operations on images, one after another."""

    operations: tuple[Operation, ...]
    # Of the first operation, where it is a crop, which may be cut out of an image file
    # before it is resized.
    crop: InceptionCropOptions | None

    def __call__(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Shows images of one size: [B, H, W, channels], keys [B] -> as images."""
        return self._show(images, keys, first=0)

    def after_crop(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Shows what the crop, the first operation, has been cut out of already."""
        return self._show(images, keys, first=1)

    def _show(self, images: tf.Tensor, keys: tf.Tensor, *, first: int) -> tf.Tensor:
        for i, operation in enumerate(self.operations[first:], start=first):
            images = operation(images, prng.fold(keys, i) if i else keys)
        return images


def no_augment(
    images: tf.Tensor, keys: tf.Tensor, options: NoAugmentOptions
) -> tf.Tensor:
    """The images themselves."""
    del keys, options
    return images


def shift(images: tf.Tensor, keys: tf.Tensor, options: ShiftOptions) -> tf.Tensor:
    """Moves each image by whole pixels: [B, H, W, channels], keys [B] -> as images.

    Both axes draw from -max_pixels to max_pixels, equally likely; what moves in from
    outside is 0 (the jitter of Hinton, Vinyals and Dean, 2015, section 3).
    """
    return _crop(
        images, keys, padding=options.max_pixels, mirrored=tf.zeros_like(keys, tf.bool)
    )


def crop_flip(
    images: tf.Tensor, keys: tf.Tensor, options: CropFlipOptions
) -> tf.Tensor:
    """Crops each image out of its padding: [B, H, W, channels], keys [B] -> as images.

    All places of the crop are equally likely, the padding is 0, and each crop is
    mirrored or not by chance (He, Zhang, Ren and Sun, 2016, section 4.2).
    """
    # The third draw: two place the crop.
    mirrored = prng.bernoulli(keys, 3, probability=0.5)[:, 2] & options.flip
    return _crop(images, keys, padding=options.padding, mirrored=mirrored)


def inception_crop(
    images: tf.Tensor, keys: tf.Tensor, options: InceptionCropOptions
) -> tf.Tensor:
    """Enlarges a part of each image: [B, H, W, channels], keys [B] -> as images.

    The part's area is uniform between min_area and 1 of the image's, its sides are
    between 3:4 and 4:3, it lies anywhere inside the image, and it is mirrored or not by
    chance (Szegedy et al., 2015, section 6). Bilinear; 8 bits are rounded.
    """
    height, width = images.shape[1:3]
    boxes, mirrored = inception_parts(keys, options, height=height, width=width)
    return enlarge(images, boxes, mirrored=mirrored)


def random_erasing(
    images: tf.Tensor, keys: tf.Tensor, options: RandomErasingOptions
) -> tf.Tensor:
    """Overwrites a rectangle in some images: [B, H, W, channels], keys -> as images.

    Its area is uniform between two shares of the image's, and its shape, the difference
    of its sides by their sum, up to `max_aspect` either way (Zhong et al., 2020).
    """
    height, width = images.shape[1:3]
    boxes = inception_boxes(
        prng.uniforms(keys, 4),
        height=height,
        width=width,
        min_area=options.min_area,
        max_area=options.max_area,
        widest=relative_shape(options.max_aspect),
    )
    # The fifth draw: four place the box.
    erased = prng.bernoulli(keys, 5, probability=options.probability)[:, 4:]
    return overwrite(images, tf.where(erased, boxes, 0), keys, fill=options.fill)


def _crop(
    images: tf.Tensor, keys: tf.Tensor, *, padding: int, mirrored: tf.Tensor
) -> tf.Tensor:
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    corners = prng.integers(keys, 2, low=0, high=2 * padding)
    rows = corners[:, :1] + tf.range(height)[tf.newaxis, :]
    columns = corners[:, 1:] + tf.where(
        mirrored[:, tf.newaxis], tf.range(width)[::-1], tf.range(width)
    )
    moved = tf.gather(padded, rows, batch_dims=1)
    return tf.gather(moved, columns, axis=2, batch_dims=1)


def augmentation(
    augment: str | tuple[str, ...],
    options: Any,
    *,
    input_shape: tuple[int, ...],
    setting: str,
    input_dtype: str = "uint8",
) -> Augment:
    """The augmentation that the section `setting` names, or several, with options.

    Raises:
      ConfigError: examples of that shape and type cannot be shown so.
    """
    chosen = with_options(augment, options, setting=f"{setting}.augment_options")
    for name, of_name, path in chosen:
        _check(name, of_name, input_shape=input_shape, setting=setting, path=path)
        if name in _OF_BYTES:
            _check_bytes(name, input_shape, input_dtype, setting=f"{setting}.augment")
    _, first, _ = chosen[0]
    return Augment(
        operations=tuple(
            functools.partial(_AUGMENTATIONS[name], options=of_name)
            for name, of_name, _ in chosen
        ),
        crop=first if isinstance(first, InceptionCropOptions) else None,
    )


def _check(
    name: str, options: Any, *, input_shape: tuple[int, ...], setting: str, path: str
) -> None:
    """Refuses an augmentation, whose options are at `path`, of other examples."""
    if name != "none" and len(input_shape) != 3:
        what = "a table" if len(input_shape) == 1 else f"examples of {input_shape}"
        raise ConfigError(
            f"{setting}.augment must be 'none' for {what}, got {name!r}, which is for "
            "images [height, width, channels], as x[..., None] makes them of grey ones"
        )
    if name in _DISTANCES:
        distance, side = getattr(options, _DISTANCES[name]), min(input_shape[:2])
        if distance >= side:
            raise ConfigError(
                f"{path}.{_DISTANCES[name]} must be below the shorter side of the "
                f"images, {side} pixels, got {distance}; lower it, or raise "
                "data.image_size"
            )


def _check_bytes(
    name: str, input_shape: tuple[int, ...], input_dtype: str, *, setting: str
) -> None:
    """Refuses images whose values are not of 8 bits, or neither grey nor colours."""
    if input_dtype != "uint8":
        raise ConfigError(
            f"{setting} must be without {name!r} for {input_dtype} images, got it; it "
            "changes values of 8 bits: give images as uint8, or remove it"
        )
    if name in _OF_COLOURS and input_shape[-1] not in (1, 3):
        raise ConfigError(
            f"{setting} must be without {name!r} for images of {input_shape[-1]} "
            "channels, got it; it is for grey images and colours, of 1 and 3: remove it"
        )


_AUGMENTATIONS: dict[str, Callable[..., tf.Tensor]] = {
    "none": no_augment,
    "shift": shift,
    "crop_flip": crop_flip,
    "inception_crop": inception_crop,
    "rand_augment": rand_augment,
    "trivial_augment": trivial_augment,
    "color_jitter": color_jitter,
    "random_erasing": random_erasing,
}

# Operations on values of 8 bits, and on grey or colours.
_OF_BYTES = ("rand_augment", "trivial_augment", "color_jitter", "random_erasing")
_OF_COLOURS = ("rand_augment", "trivial_augment", "color_jitter")

# Options in pixels, of which as many as the image has would leave nothing of it.
_DISTANCES = {"shift": "max_pixels", "crop_flip": "padding"}
