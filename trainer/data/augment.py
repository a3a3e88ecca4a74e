"""Random views of images: pure functions of (seed, epoch, example id).

Shapes: B = examples, H W = image.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer import noise
from trainer.config import NoAugmentOptions, ShiftOptions

# Images [B, H, W, channels] and uint32 keys [B] to images; both uint8.
Augment = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


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
    most = options.max_pixels
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [most, most], [most, most], [0, 0]])
    corners = noise.integers(keys, 2, low=0, high=2 * most)
    rows = corners[:, :1] + tf.range(height)[tf.newaxis, :]
    columns = corners[:, 1:] + tf.range(width)[tf.newaxis, :]
    moved = tf.gather(padded, rows, batch_dims=1)
    return tf.gather(moved, columns, axis=2, batch_dims=1)


def augmentation(name: str, options: Any) -> Augment:
    """The augmentation of a name in the config, with its options."""
    return functools.partial(_AUGMENTATIONS[name], options=options)


_AUGMENTATIONS: dict[str, Callable[..., tf.Tensor]] = {
    "none": no_augment,
    "shift": shift,
}
