"""Operations on the pixels of one image, as Pillow has them.

All is exact arithmetic of whole numbers, so that every device computes the same.

Shapes: H W = image, C = channels, 1 or 3. Images are uint8 [H, W, C].
"""

import tensorflow as tf

_SHIFT = 16  # binary places of factors and of coordinates
ONE = 2**_SHIFT  # the factor 1
_MOST = 255  # of a pixel


def move(image: tf.Tensor, coefficients: tf.Tensor, *, fill: int) -> tf.Tensor:
    """Takes each pixel from another place, and `fill` from outside of the image.

    The pixel (x, y) is that at (a x + b y + c, d x + e y + f), rounded down, where the
    `coefficients`, int32 [6], are a to f times ONE.
    """
    height, width, channels = image.shape
    rows, columns = tf.range(height)[:, tf.newaxis], tf.range(width)
    x_of_x, x_of_y, x_first, y_of_x, y_of_y, y_first = tf.unstack(coefficients)
    x = _shift(x_of_x * columns + x_of_y * rows + x_first)
    y = _shift(y_of_x * columns + y_of_y * rows + y_first)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    # What is outside of the image comes from a pixel behind its last one.
    places = tf.where(inside, y * width + x, height * width)
    pixels = tf.reshape(image, [height * width, channels])
    behind = tf.fill([1, channels], tf.constant(fill, tf.uint8))
    return tf.gather(tf.concat([pixels, behind], 0), places)


def look_up(image: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Replaces each value by that in a table: uint8 [256], or [C, 256] by channel."""
    values = tf.cast(image, tf.int32)
    if table.shape.rank == 2:
        values += tf.range(table.shape[0]) * (_MOST + 1)
    return tf.gather(tf.reshape(table, [-1]), values)


def brighten(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies all values by the factor, int32 [] in parts of ONE."""
    return look_up(image, _to_bytes(_blend(0, tf.range(_MOST + 1), factor)))


def change_contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the distance of values from the mean of the image in grey."""
    grey = _grey(image)
    total = tf.reduce_sum(tf.cast(grey, tf.int64))
    count = tf.size(grey, tf.int64)
    mean = tf.cast((2 * total + count) // (2 * count), tf.int32)
    return look_up(image, _to_bytes(_blend(mean, tf.range(_MOST + 1), factor)))


def change_saturation(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the distance of colours from their grey."""
    if image.shape[-1] == 1:
        return image
    grey = _grey(image)[..., tf.newaxis]
    return _to_bytes(_blend(grey, tf.cast(image, tf.int32), factor))


def sharpen(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the distance of values from the image made smooth; not at its border.

    A smooth value is the mean of 3 x 3, of which the middle counts 5 times.
    """
    if min(image.shape[:2]) < 3:
        return image
    values = tf.cast(image, tf.int32)
    columns = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    inner = values[1:-1, 1:-1]
    total = columns[:-2] + columns[1:-1] + columns[2:] + 4 * inner
    # (2 total + 13) // 26, for all totals up to 13 * 255, without a slow division.
    smooth = tf.bitwise.right_shift((2 * total + 13) * 40330, 20)
    change = tf.clip_by_value(_blend(smooth, inner, factor), 0, _MOST) - inner
    return _to_bytes(values + tf.pad(change, [[1, 1], [1, 1], [0, 0]]))


def stretch(image: tf.Tensor) -> tf.Tensor:
    """Brings the least value of each channel to 0 and the largest to 255."""
    channels = tf.unstack(tf.cast(image, tf.int32), axis=-1)
    low = tf.stack([[tf.reduce_min(values)] for values in channels])
    high = tf.stack([[tf.reduce_max(values)] for values in channels])
    every = tf.range(_MOST + 1)[tf.newaxis, :]
    table = (every - low) * _MOST // tf.maximum(high - low, 1)
    return look_up(image, _to_bytes(tf.where(high > low, table, every)))


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Spreads the values of each channel evenly from 0 to 255."""
    size = _MOST + 1
    counts = tf.stack(
        [
            tf.math.unsorted_segment_sum(tf.ones_like(values), values, size)
            for values in tf.unstack(tf.cast(image, tf.int32), axis=-1)
        ]
    )
    below = tf.cumsum(counts, axis=1, exclusive=True)
    # The pixels of all values but the largest one, for each step of the new values.
    step = tf.reduce_max(tf.where(counts > 0, below, 0), axis=1, keepdims=True) // _MOST
    table = (step // 2 + below) // tf.maximum(step, 1)
    every = tf.range(size)[tf.newaxis, :]
    return look_up(image, _to_bytes(tf.where(step > 0, table, every)))


def turn_hue(image: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Adds to the hue, of 256 steps around the circle, int32 [] of them."""
    if image.shape[-1] == 1:
        return image
    red, green, blue = tf.unstack(tf.cast(image, tf.int32), axis=-1)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    sector = tf.where(
        red == value,
        green - blue,
        tf.where(green == value, 2 * chroma + blue - red, 4 * chroma + red - green),
    )
    circle = 6 * tf.maximum(chroma, 1)
    sector = tf.where(sector < 0, sector + circle, sector)
    hue = _divide(sector * _MOST, circle)
    saturation = _divide(chroma * _MOST, tf.maximum(value, 1))
    return _from_hsv(tf.bitwise.bitwise_and(hue + turn, _MOST), saturation, value)


def _from_hsv(hue: tf.Tensor, saturation: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Hue, saturation and value of 8 bits: int32 [H, W] each -> uint8 [H, W, 3]."""
    whole = _MOST**2
    channels = []
    for first in (5, 3, 1):  # of red, green and blue, in sixths of the circle
        place = first * _MOST + 6 * hue
        place = tf.where(place < 6 * _MOST, place, place - 6 * _MOST)
        share = tf.clip_by_value(tf.minimum(place, 4 * _MOST - place), 0, _MOST)
        shown = tf.cast(value * (whole - saturation * share) + whole // 2, tf.uint32)
        channels.append(shown // whole)
    return tf.cast(tf.stack(channels, axis=-1), tf.uint8)


def _grey(image: tf.Tensor) -> tf.Tensor:
    """The brightness, by the weights of ITU-R 601: int32 [H, W]."""
    values = tf.cast(image, tf.int32)
    if image.shape[-1] == 1:
        return values[..., 0]
    red, green, blue = tf.unstack(values, axis=-1)
    return _shift(19595 * red + 38470 * green + 7471 * blue + ONE // 2)


def _blend(
    background: tf.Tensor | int, values: tf.Tensor, factor: tf.Tensor
) -> tf.Tensor:
    """Background + factor (values - background), rounded down: int32."""
    # A factor is off by half a part, and the pixel must not fall below a whole number.
    return background + _shift(factor * (values - background) + (_MOST + 1) // 2)


def _divide(values: tf.Tensor, by: tf.Tensor | int) -> tf.Tensor:
    """Divides and rounds down numbers below 2**22, of a quotient below 2**11."""
    # Of floats, which is quicker; half of one keeps it away from whole quotients.
    return tf.cast(
        (tf.cast(values, tf.float32) + 0.5) / tf.cast(by, tf.float32), tf.int32
    )


def _shift(values: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.right_shift(values, _SHIFT)


def _to_bytes(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(values, 0, _MOST), tf.uint8)
