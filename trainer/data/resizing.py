"""Images brought to another size. H W = image.

A place in an image is its top, left, height and width, float32 [4].
"""

import tensorflow as tf

# Pixels of an image for one of its smaller picture, where means are near `resize`, and
# up to where pixels between the nearest ones are.
_MEAN_FROM, _MEAN_TO, _BETWEEN_TO = 1.2, 1.9, 1.4


def resize(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Any image in `size`, averaged over what a pixel covers: uint8 -> [H, W, ...].

    The aspect ratio is not kept.
    """
    return resize_box(image, _whole_place(image), size)


def resize_box(image: tf.Tensor, place: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
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
        is_of_size & _is_whole(image, place),
        lambda: tf.convert_to_tensor(image),
        resized,
    )
    return tf.ensure_shape(fitted, shape)


def resize_quickly(
    image: tf.Tensor, place: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """A place in an image in `size`, in half the time of `resize` where that is near.

    A whole image that grows, or hardly shrinks, lies between the nearest pixels; what
    shrinks a little is the mean of those that it covers, all alike. Of photographs the
    values are within 2 of 255 of `resize`, in the mean.
    """
    ratios = place[2:] / size
    least, most = tf.reduce_min(ratios), tf.reduce_max(ratios)
    is_near = (least >= _MEAN_FROM) & (most <= _MEAN_TO)
    kind = tf.where(is_near, 1, tf.where(most < _BETWEEN_TO, 0, 2))
    pixels = tf.switch_case(
        tf.where(_is_whole(image, place), kind, 2),
        [
            lambda: _rounded(tf.image.resize(image, size)),
            lambda: _rounded(tf.image.resize(image, size, "area")),
            lambda: resize_box(image, place, size),
        ],
    )
    return tf.ensure_shape(pixels, (*size, image.shape[-1]))


def _rounded(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(pixels), tf.uint8)


def _whole_place(image: tf.Tensor) -> tf.Tensor:
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    return tf.stack([0.0, 0.0, height, width])


def _is_whole(image: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(place == _whole_place(image))


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
