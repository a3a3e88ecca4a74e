"""Parts of encoded images, and the part that is shown where no crop is drawn.

A box is its top, left, height and width, int32 [4], in the pixels of the file.
"""

from collections.abc import Callable

import tensorflow as tf

from trainer.config import EvaluateView
from trainer.config.evaluate_view import CENTER_CROP, SQUASH
from trainer.data import image_kind
from trainer.data.branches import seldom
from trainer.data.jpeg_pixels import begins_with, is_jpeg

# From the height and width of an image, int32 [..., 2], to a box of it, [..., 4].
BoxOf = Callable[[tf.Tensor], tf.Tensor]
Whole = Callable[[tf.Tensor], tf.Tensor]  # from a file to its image, uint8 [h, w, C]

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


def size_of(contents: tf.Tensor, whole: Whole) -> tf.Tensor:
    """Height and width of an encoded image, of JPEG and PNG by their headers.

    `whole` decodes others. int32 [2].
    """

    def of_png() -> tf.Tensor:
        header = tf.io.decode_raw(contents, tf.uint8, fixed_length=_PNG_SIZE.stop)
        digits = tf.reshape(tf.cast(header[_PNG_SIZE], tf.int32), (2, 4))
        return tf.reduce_sum(digits * [1 << 24, 1 << 16, 1 << 8, 1], axis=1)[::-1]

    @seldom
    def of_other() -> tf.Tensor:
        return tf.cond(
            begins_with(contents, image_kind.PNG),
            of_png,
            lambda: tf.shape(whole(contents))[:2],
        )

    size = tf.cond(
        is_jpeg(contents),
        lambda: tf.io.extract_jpeg_shape(contents)[:2],
        of_other,
    )
    return tf.ensure_shape(size, (2,))
