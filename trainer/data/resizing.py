"""Images brought to another size. H W = image.

A place in an image is its top, left, height and width, float32 [4].
"""

import tensorflow as tf

# The ways to a size: pixels between the nearest ones, the mean of all that one covers,
# or their mean by how much of them it covers.
BETWEEN, MEAN, WEIGHTED = range(3)

# Pixels of an image for one of its smaller picture, up to where means are near `resize`
# and, where it grows in one direction, pixels between the nearest ones.
_MEAN_TO, _BETWEEN_TO = 2.25, 1.4


def resize(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Any image in `size`, averaged over what a pixel covers: uint8 -> [H, W, ...].

    The aspect ratio is not kept.
    """
    return resize_place(image, whole_place(image), size)


def resize_place(
    image: tf.Tensor, place: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """A place in an image in `size`, as `resize` does all of it.

    The place, top, left, height and width, float32 [4], need not be of whole pixels.
    What is beyond it takes part in what is averaged at its edges.
    """
    shape = (*size, image.shape[-1])

    def resized() -> tf.Tensor:
        top, left, height, width = tf.unstack(place)
        rows = _resize_rows(image, top, height, size[0])
        # Rows again, of the transposed image: in three times the time the operation
        # would do columns, pixel by pixel.
        columns = _resize_rows(tf.transpose(rows, (1, 0, 2)), left, width, size[1])
        pixels = tf.reshape(columns, (size[1], size[0], shape[-1]))
        return _rounded(tf.transpose(pixels, (1, 0, 2)))

    is_of_size = tf.reduce_all(tf.shape(image)[:2] == size)
    fitted = tf.cond(
        is_of_size & tf.reduce_all(place == whole_place(image)),
        lambda: tf.convert_to_tensor(image),
        resized,
    )
    return tf.ensure_shape(fitted, shape)


def quick_way(sizes: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """The quickest way that comes near `resize` from heights and widths to a size.

    What grows may lie between the nearest pixels, and what shrinks a little be means.
    Of photographs the values are within 2 of 255 of `resize`, in the mean.

    Args:
      sizes: int32 [..., 2].
      size: a height and width.

    Returns:
      BETWEEN, MEAN or WEIGHTED: int32 [...].
    """
    ratios = tf.cast(sizes, tf.float32) / size
    least, most = tf.reduce_min(ratios, axis=-1), tf.reduce_max(ratios, axis=-1)
    # Of pairs of pixels means are far, as no pixel has a share in two of them.
    are_pairs = tf.reduce_any(ratios == 2.0, axis=-1)
    is_near = (least >= 1) & (most <= _MEAN_TO) & ~are_pairs
    grows = (least < 1) & (most < _BETWEEN_TO)
    return tf.where(is_near, MEAN, tf.where(grows, BETWEEN, WEIGHTED))


def resize_between(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Any image in `size`, between its nearest pixels: uint8 -> [H, W, ...]."""
    return _rounded(tf.image.resize(image, size))


def resize_to_means(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Any image in `size`, the means of all that pixels cover: uint8 -> [H, W, ...]."""
    return _rounded(tf.image.resize(image, size, "area"))


def whole_place(image: tf.Tensor) -> tf.Tensor:
    """All of an image as a place in it."""
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    return tf.stack([0.0, 0.0, height, width])


def _rounded(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(pixels), tf.uint8)


def _resize_rows(
    image: tf.Tensor, first: tf.Tensor, extent: tf.Tensor, count: int
) -> tf.Tensor:
    """`extent` of the rows as `count` rows: [h, w, C] -> float32 [count, w, C]."""
    rows, width, channels = tf.unstack(tf.shape(image))
    scale = count / extent
    # As the columns of a single row, whose pixels are rows: a row alone is not shared
    # among threads, whose waking costs more than it gains.
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(image, (1, 1, rows, width * channels)),
        size=(1, count),
        scale=tf.stack([1.0, scale]),
        translation=tf.stack([0.0, -first * scale]),
        kernel_type="triangle",
        antialias=True,
    )
    return tf.reshape(resized, (count, width, channels))
