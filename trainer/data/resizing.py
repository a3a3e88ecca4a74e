"""Images brought to another size. H W = image.

A place in an image is its top, left, height and width, float32 [4].
"""

from typing import Any, NamedTuple

import tensorflow as tf

# The ways to the width of a size, after that to its height: pixels between the nearest
# ones, the mean of all that one covers, or their mean by how much of them it covers, of
# rows in whole numbers or not. Of them the last one alone is exact; the first is too
# where an image grows.
BETWEEN, MEAN, ROUNDED, EXACT = range(4)


class Fit(NamedTuple):
    """A part of an image on its way to a size; of many each field has an axis more."""

    rows: tf.Tensor  # float32 [2, 2]: of an image in one row, its scales and shifts
    columns: tf.Tensor  # float32 [2, 2]: of the columns as rows, likewise
    way: tf.Tensor  # int32: one of the ways


def fit(place: tf.Tensor, size: tuple[int, int], way: tf.Tensor) -> Fit:
    """The fit to a size of places in images, float32 [..., 4]."""
    top, left, height, width = tf.unstack(place, axis=-1)
    return Fit(
        rows=_scales_and_shifts(top, height, size[0]),
        columns=_scales_and_shifts(left, width, size[1]),
        way=way,
    )


def resize(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Any image in `size`, averaged over what a pixel covers: uint8 -> [H, W, ...].

    The aspect ratio is not kept.
    """
    is_of_size = tf.reduce_all(tf.shape(image)[:2] == size)
    way = tf.where(is_of_size, BETWEEN, EXACT)
    return resize_place(image, fit(_whole_place(image), size, way), size)


def resize_place(image: tf.Tensor, fit: Fit, size: tuple[int, int]) -> tf.Tensor:
    """A place in an image in `size`: uint8 -> [H, W, ...].

    It need not be of whole pixels, where the way is by how much of them is covered;
    otherwise it is all of the image. What is beyond it takes part in what is averaged
    at its edges.
    """
    shape = (*size, image.shape[-1])
    rows = tf.shape(image)[0]
    narrow = _resize_rows(image, (1, 1, rows, -1), fit.rows, size[0])
    narrow = tf.reshape(narrow, (size[0], -1, shape[-1]))

    def between() -> tf.Tensor:
        return _rounded(tf.image.resize(narrow, size))

    def mean() -> tf.Tensor:
        return _rounded(tf.image.resize(narrow, size, "area"))

    # Rows again, of the transposed image: in three times the time the operation would
    # do columns, pixel by pixel.
    def by_cover(columns: tf.Tensor) -> tf.Tensor:
        across = (1, 1, -1, size[0] * shape[-1])
        pixels = _resize_rows(columns, across, fit.columns, size[1])
        return tf.reshape(pixels, (size[1], size[0], shape[-1]))

    def rounded() -> tf.Tensor:
        # Whole numbers are transposed in a third of the time.
        columns = by_cover(_transposed(_rounded(narrow)))
        return _transposed(_rounded(columns))

    def exact() -> tf.Tensor:
        return _rounded(_transposed(by_cover(_transposed(narrow))))

    return tf.ensure_shape(
        tf.switch_case(fit.way, [between, mean, rounded, exact]), shape
    )


def resize_between(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Any image in `size`, between its nearest pixels: uint8 -> [H, W, ...]."""
    return _rounded(tf.image.resize(image, size))


def _whole_place(image: tf.Tensor) -> tf.Tensor:
    """All of an image as a place in it."""
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    return tf.stack([0.0, 0.0, height, width])


def _rounded(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(pixels), tf.uint8)


def _transposed(image: tf.Tensor) -> tf.Tensor:
    return tf.transpose(image, (1, 0, 2))


def _scales_and_shifts(first: tf.Tensor, extent: tf.Tensor, count: int) -> tf.Tensor:
    """Scales and shifts to `count` rows from `extent` ones: float32 [..., 2, 2]."""
    scale = count / extent
    ones, zeros = tf.ones_like(scale), tf.zeros_like(scale)
    return tf.stack(
        [tf.stack([ones, scale], -1), tf.stack([zeros, -first * scale], -1)], -2
    )


def _resize_rows(
    image: tf.Tensor, shape: tuple[Any, ...], axis: tf.Tensor, count: int
) -> tf.Tensor:
    """`count` rows of an image that has the `shape` of a single row of its rows."""
    # A row alone is not shared among threads, whose waking costs more than it gains.
    scales, shifts = tf.unstack(axis)
    return tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(image, shape),
        size=(1, count),
        scale=scales,
        translation=shifts,
        kernel_type="triangle",
        antialias=True,
    )
