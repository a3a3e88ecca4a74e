"""Parts of encoded images at the size of a model.

A box is its top, left, height and width, int32 [4], in the pixels of the file.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.config.evaluate_view import CENTER_CROP, SQUASH
from trainer.data.decode import pixels, resize, resize_box, resize_quickly, to_grey

# From the height and width of an image, int32 [..., 2], to a box of it, [..., 4].
BoxOf = Callable[[tf.Tensor], tf.Tensor]
Whole = Callable[[tf.Tensor], tf.Tensor]  # from a file to its image, uint8 [h, w, C]

# What libjpeg can leave out while it decodes; 2 stands for every second pixel.
_RATIOS = (2, 4, 8)
_SPARE = 2  # of as many pixels as asked for at least: 47 dB of the whole or better
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_PNG_SIZE = slice(16, 24)  # of its bytes: the width, then the height


def evaluation_box(view: str, *, center_crop: float) -> BoxOf:
    """The part of an image that is shown where no crop is drawn.

    That is all of it ("squash"), or the square in its middle that is `center_crop` of
    its shorter side ("center_crop").
    """

    def whole(sizes: tf.Tensor) -> tf.Tensor:
        return tf.concat([tf.zeros_like(sizes), sizes], axis=-1)

    def square(sizes: tf.Tensor) -> tf.Tensor:
        shorter = tf.cast(tf.reduce_min(sizes, axis=-1, keepdims=True), tf.float64)
        side = tf.maximum(tf.cast(tf.round(center_crop * shorter), tf.int32), 1)
        sides = tf.broadcast_to(side, tf.shape(sizes))
        return tf.concat([(sizes - sides) // 2, sides], axis=-1)

    return {SQUASH: whole, CENTER_CROP: square}[view]


def size_of(contents: tf.Tensor, whole: Whole = pixels) -> tf.Tensor:
    """Height and width of an encoded image, of JPEG and PNG by their headers."""

    def of_png() -> tf.Tensor:
        header = tf.io.decode_raw(contents, tf.uint8, fixed_length=_PNG_SIZE.stop)
        digits = tf.reshape(tf.cast(header[_PNG_SIZE], tf.int32), (2, 4))
        return tf.reduce_sum(digits * [1 << 24, 1 << 16, 1 << 8, 1], axis=1)[::-1]

    return tf.cond(
        _begins_with(contents, _JPEG),
        lambda: tf.io.extract_jpeg_shape(contents)[:2],
        lambda: tf.cond(
            _begins_with(contents, _PNG),
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
    fit = functools.partial(_fit, shape=shape, channels=channels, quickly=quickly)

    def of_jpeg() -> tf.Tensor:
        box = box_of(tf.io.extract_jpeg_shape(contents)[:2])
        coarse = functools.partial(_fit_coarse, contents, box, channels, fit)
        return tf.switch_case(
            _ratio_index(box, shape[:2]),
            [
                lambda: fit(_decode_jpeg(contents, box, channels, 1)),
                *(functools.partial(coarse, ratio) for ratio in _RATIOS),
            ],
        )

    def of_others() -> tf.Tensor:
        image = whole(contents)
        top, left, rows, columns = tf.unstack(box_of(tf.shape(image)[:2]))
        return fit(image[top : top + rows, left : left + columns])

    if channels not in (1, 3):  # of which there are no JPEGs
        return tf.ensure_shape(of_others(), shape)
    image = tf.cond(_begins_with(contents, _JPEG), of_jpeg, of_others)
    return tf.ensure_shape(image, shape)


def _begins_with(contents: tf.Tensor, first: bytes) -> tf.Tensor:
    return tf.strings.substr(contents, 0, len(first)) == first


def _ratio_index(box: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Counts the ratios that leave enough pixels of a box."""
    spare = tf.reduce_min(box[2:] // (_SPARE * np.array(size)))
    return sum(tf.cast(spare >= ratio, tf.int32) for ratio in _RATIOS)


def _fit(
    image: tf.Tensor,
    place: tf.Tensor | None = None,
    *,
    shape: tuple[int, int, int],
    channels: int,
    quickly: bool,
) -> tf.Tensor:
    """An image, or a place in it, in the shape that models take."""
    image.set_shape((None, None, channels))
    if (shape[2], channels) == (1, 3):
        image = to_grey(image)
    if place is not None:
        return resize_box(image, place, shape[:2])
    return (resize_quickly if quickly else resize)(image, shape[:2])


def _decode_jpeg(
    contents: tf.Tensor, box: tf.Tensor, channels: int, ratio: int
) -> tf.Tensor:
    return tf.image.decode_and_crop_jpeg(contents, box, channels=channels, ratio=ratio)


def _fit_coarse(
    contents: tf.Tensor,
    box: tf.Tensor,
    channels: int,
    fit: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    ratio: int,
) -> tf.Tensor:
    """Brings a box to its size from an image that was decoded `ratio` times smaller."""
    first = box[:2] // ratio
    count = -(-(box[:2] + box[2:]) // ratio) - first  # all pixels that it touches
    part = _decode_jpeg(contents, tf.concat([first, count], 0), channels, ratio)
    place = tf.concat([box[:2] - first * ratio, box[2:]], 0)
    return fit(part, tf.cast(place, tf.float32) / ratio)
