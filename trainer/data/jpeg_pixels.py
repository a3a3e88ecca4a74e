"""JPEG files to pixels, all or a part of them.

Their frequencies are transformed by whole numbers of full precision, as PIL and
PyTorch have it. TensorFlow's default is coarser, by a level of 255 in the mean of
photographs, and no quicker.
"""

import tensorflow as tf

from trainer.data import image_kind

_TRANSFORM = "INTEGER_ACCURATE"


def is_jpeg(contents: tf.Tensor) -> tf.Tensor:
    """Whether a file begins as a JPEG: string [] -> bool []."""
    return begins_with(contents, image_kind.JPEG)


def begins_with(contents: tf.Tensor, first: bytes) -> tf.Tensor:
    """Whether these are the first bytes of a file: string [] -> bool []."""
    return tf.strings.substr(contents, 0, len(first)) == first


def decode(contents: tf.Tensor, *, channels: int) -> tf.Tensor:
    """All of a JPEG: bytes -> uint8 [H, W, channels], of which 1 is luma and 3 RGB.

    Raises:
      tf.errors.InvalidArgumentError: the file is damaged.
    """
    return tf.io.decode_jpeg(contents, channels=channels, dct_method=_TRANSFORM)


def decode_part(
    contents: tf.Tensor, window: tf.Tensor, *, channels: int, ratio: int = 1
) -> tf.Tensor:
    """The pixels in a window, its top, left, height and width, int32 [4].

    Of a larger `ratio`, 2, 4 or 8, as many pixels a side become one while they are
    decoded, and the window is in these.
    """
    return tf.image.decode_and_crop_jpeg(
        contents, window, channels=channels, ratio=ratio, dct_method=_TRANSFORM
    )
