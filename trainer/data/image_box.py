"""Parts of encoded images at the size of a model.

A box is its top, left, height and width, int32 [4], in the pixels of the file.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from trainer.config import EvaluateView
from trainer.config.evaluate_view import CENTER_CROP, SQUASH
from trainer.data import image_kind
from trainer.data.decode import pixels, to_grey
from trainer.data.jpeg_pixels import begins_with, decode_part, is_jpeg
from trainer.data.resizing import resize_box, resize_quickly

# From the height and width of an image, int32 [..., 2], to a box of it, [..., 4].
BoxOf = Callable[[tf.Tensor], tf.Tensor]
Whole = Callable[[tf.Tensor], tf.Tensor]  # from a file to its image, uint8 [h, w, C]

# What libjpeg can leave out while it decodes; 2 stands for every second pixel.
_RATIOS = (1, 2, 4, 8)
_SPARE = 2  # of as many pixels as asked for at least: 47 dB of the whole or better
_PNG_SIZE = slice(16, 24)  # of its bytes: the width, then the height


def evaluation_box(view: EvaluateView) -> BoxOf:
    """The part of an image that is shown where no crop is drawn.

    That is all of it, or the square in its middle that is `center_crop` of its shorter
    side.
    """

    def whole(sizes: tf.Tensor) -> tf.Tensor:
        return tf.concat([tf.zeros_like(sizes), sizes], axis=-1)

    def square(sizes: tf.Tensor) -> tf.Tensor:
        shorter = tf.cast(tf.reduce_min(sizes, axis=-1, keepdims=True), tf.float64)
        side = tf.maximum(tf.cast(tf.round(view.center_crop * shorter), tf.int32), 1)
        sides = tf.broadcast_to(side, tf.shape(sizes))
        return tf.concat([(sizes - sides) // 2, sides], axis=-1)

    return {SQUASH: whole, CENTER_CROP: square}[view.name]


def size_of(contents: tf.Tensor, whole: Whole = pixels) -> tf.Tensor:
    """Height and width of an encoded image, of JPEG and PNG by their headers."""

    def of_png() -> tf.Tensor:
        header = tf.io.decode_raw(contents, tf.uint8, fixed_length=_PNG_SIZE.stop)
        digits = tf.reshape(tf.cast(header[_PNG_SIZE], tf.int32), (2, 4))
        return tf.reduce_sum(digits * [1 << 24, 1 << 16, 1 << 8, 1], axis=1)[::-1]

    return tf.cond(
        is_jpeg(contents),
        lambda: tf.io.extract_jpeg_shape(contents)[:2],
        lambda: tf.cond(
            begins_with(contents, image_kind.PNG),
            of_png,
            lambda: tf.shape(whole(contents))[:2],
        ),
    )


def decode_box(
    contents: tf.Tensor,
    box_of: BoxOf,
    shape: tuple[int, int, int],
    *,
    whole: Whole = pixels,
    channels: int = 3,
    quickly: bool = False,
) -> tf.Tensor:
    """A part of an encoded image as models take it: bytes -> uint8 of `shape`.

    It is resized once. Of a JPEG no more is decoded than the part, and no finer than is
    asked for; `whole` decodes others. Both give as many `channels`, of which 3 become
    grey where the shape has one. With `quickly` as resize_quickly has it.

    Raises:
      tf.errors.InvalidArgumentError: the file is damaged, no image, or too small.
    """
    part, place = tf.cond(
        is_jpeg(contents),
        functools.partial(_jpeg_part, contents, box_of, shape[:2], channels),
        functools.partial(_other_part, contents, box_of, whole),
    )
    part.set_shape((None, None, channels))
    if (shape[2], channels) == (1, 3):
        part = to_grey(part)
    fit = resize_quickly if quickly else resize_box
    return tf.ensure_shape(fit(part, place, shape[:2]), shape)


def _jpeg_part(
    contents: tf.Tensor, box_of: BoxOf, size: tuple[int, int], channels: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels that touch a box, decoded no finer than needed, and its place there.

    The place is as the box, but float32 [4] and in the pixels of the part.
    """
    box = box_of(tf.io.extract_jpeg_shape(contents)[:2])
    spare = tf.reduce_min(box[2:] // tf.constant(size)) // _SPARE
    index = tf.reduce_sum(tf.cast(spare >= tf.constant(_RATIOS[1:]), tf.int32))
    ratio = tf.gather(tf.constant(_RATIOS), index)
    first = box[:2] // ratio
    window = tf.concat([first, -(-(box[:2] + box[2:]) // ratio) - first], 0)
    # Nothing but the decoding in the branches: those not taken cost their operations.
    part = tf.switch_case(
        index,
        [
            functools.partial(
                decode_part, contents, window, channels=channels, ratio=ratio
            )
            for ratio in _RATIOS
        ],
    )
    place = tf.concat([box[:2] - first * ratio, box[2:]], 0)
    return part, tf.cast(place, tf.float32) / tf.cast(ratio, tf.float32)


def _other_part(
    contents: tf.Tensor, box_of: BoxOf, whole: Whole
) -> tuple[tf.Tensor, tf.Tensor]:
    """The same of an image that is decoded whole."""
    image = whole(contents)
    top, left, height, width = tf.unstack(box_of(tf.shape(image)[:2]))
    part = image[top : top + height, left : left + width]
    place = tf.cast(tf.stack([0, 0, height, width]), tf.float32)
    return part, place
