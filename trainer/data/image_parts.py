"""Random parts of images, at full size and mirrored by chance.

Shapes: B = images, H W = image.
"""

from typing import Any

import tensorflow as tf

from trainer import prng
from trainer.config import InceptionCropOptions


def inception_parts(
    keys: tf.Tensor,
    options: InceptionCropOptions,
    *,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The boxes, int32 [B, 4], and whether each is mirrored: keys [B] -> bool [B].

    Heights and widths are one for all, or float32 [B].
    """
    draws = prng.uniforms(keys, 5)
    boxes = inception_boxes(
        draws[:, :4], height=height, width=width, min_area=options.min_area
    )
    return boxes, (draws[:, 4] < 0.5) & options.flip


def inception_boxes(
    draws: tf.Tensor,
    *,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    min_area: float,
    max_area: float = 1,
    widest: float = 1 / 7,
) -> tf.Tensor:
    """Parts of an image from numbers in [0, 1): [B, 4] -> int32 [B, 4].

    A box is its top, left, height and width in pixels. The first draw gives the area,
    the second the shape s = (width - height) / (width + height), uniform from -widest
    to `widest`; 1/7, from 3:4 to 4:3, is log-uniform in the ratio to 2 %. An area that
    not every shape can have inside the image takes the range of s that it can have, so
    that nothing is drawn twice and areas stay uniform; an image longer than 4:3 gives
    its largest areas the nearest shape that fits. Sides are rounded to whole pixels.
    """
    # No exp and no log: they differ in the last bit between the middle of a batch and
    # its end.
    area, shape, top, left = tf.unstack(draws, axis=1)
    area = (min_area + (max_area - min_area) * area) * (height * width)
    tallest, flattest = (
        relative_shape(area / (height * height)),
        relative_shape(width * width / area),
    )
    lowest = tf.minimum(tf.maximum(tallest, -widest), flattest)
    highest = tf.maximum(tf.minimum(flattest, widest), tallest)
    shape = lowest + (highest - lowest) * shape
    ratio = (1 + shape) / (1 - shape)
    heights = tf.clip_by_value(tf.round(tf.sqrt(area / ratio)), 1, height)
    widths = tf.clip_by_value(tf.round(tf.sqrt(area * ratio)), 1, width)
    tops = tf.floor(top * (height - heights + 1))
    lefts = tf.floor(left * (width - widths + 1))
    return tf.cast(tf.stack([tops, lefts, heights, widths], axis=1), tf.int32)


def enlarge(images: tf.Tensor, boxes: tf.Tensor, *, mirrored: tf.Tensor) -> tf.Tensor:
    """The boxes of inception_boxes at full size: [B, H, W, channels] -> as images."""
    *size, channels = images.shape[1:]
    dtype = tf.as_dtype(images.dtype)

    def of_one(one: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, box, is_mirrored = one
        top, left, height, width = tf.unstack(box)
        part = image[top : top + height, left : left + width]
        part = mirror(tf.ensure_shape(part, (None, None, channels)), is_mirrored)
        resized = tf.image.resize(part, size)
        return tf.cast(tf.round(resized) if dtype.is_integer else resized, dtype)

    # One by one: eight times as fast as gathers from the whole batch.
    return tf.map_fn(
        of_one,
        (images, boxes, mirrored),
        fn_output_signature=tf.TensorSpec(images.shape[1:], dtype),
        parallel_iterations=10,
    )


def mirror(image: tf.Tensor, is_mirrored: tf.Tensor) -> tf.Tensor:
    """The image with left and right exchanged, or as it is: [H, W, channels]."""
    # A slice with a negative step takes as long as the decoding of a small image.
    shown = tf.cond(is_mirrored, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.ensure_shape(shown, image.shape)


def relative_shape(ratio: Any) -> Any:
    """From width / height to (width - height) / (width + height)."""
    return (ratio - 1) / (ratio + 1)
