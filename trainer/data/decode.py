"""Encoded images to pixels. H W = image."""

import re

import tensorflow as tf

# Of red, green and blue in a grey pixel, as ITU-R BT.601 has it and PIL rounds it.
_SHARES_OF_GREY, _WHOLE = (19595, 38470, 7471), 2**16

# Of a WebP file: as much as says whether it has an alpha channel.
_HEADER_BYTES = 25
_ALPHA, _ANIMATION = 0x10, 0x02  # flags, the first one in two places


def decoded(contents: tf.Tensor) -> tf.Tensor:
    """Colours of a JPEG, PNG or WebP file, by its content: bytes -> uint8 [H, W, 3].

    Grey, palette and CMYK images become RGB. Alpha is dropped, not blended: a pixel
    keeps the colour that is stored under its transparency. Of 16 bits a channel the
    upper 8 stay. Orientation tags and colour profiles have no effect. An animated PNG
    gives its first image; an animated WebP cannot be decoded.

    Raises:
      tf.errors.InvalidArgumentError: the file is damaged or no such image.
    """
    # TensorFlow decodes a WebP file with alpha to 4 channels only, any other image to
    # 3, and corrupts its memory where an animated WebP file comes with 0 channels.
    image = tf.cond(
        _is_webp_with_alpha(contents),
        lambda: _image(contents, channels=4)[..., :3],
        lambda: _image(contents, channels=3),
    )
    image.set_shape((None, None, 3))
    return image


def grey(image: tf.Tensor) -> tf.Tensor:
    """How light the colours are: uint8 [H, W, 3] -> [H, W, 1]; a grey stays itself."""
    shares = tf.constant(_SHARES_OF_GREY)
    total = tf.reduce_sum(tf.cast(image, tf.int32) * shares, axis=-1, keepdims=True)
    return tf.cast((total + _WHOLE // 2) // _WHOLE, tf.uint8)


def resized(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Any image in `size`, averaged over what a pixel covers: uint8 -> [H, W, ...].

    The aspect ratio is not kept.
    """
    pixels = tf.image.resize(image, size, antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)


def fitted(contents: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """An encoded image as models take it: bytes -> uint8 of `shape`, [H, W, 1 or 3].

    One channel is grey. Errors are those of `decoded`.
    """
    height, width, channels = shape
    image = decoded(contents)
    return resized(image if channels == 3 else grey(image), (height, width))


def reason(error: Exception) -> str:
    """The first line, without the graph that TensorFlow prints around it."""
    # Headings, frames of the Python stack, lines of source, and names of nodes.
    graph = (
        r"\s*$|Graph execution error|Detected at|<stack|\d+ root error|\s*File \""
        r"|\s{4}|\s*\[\["
    )
    lines = [line for line in str(error).splitlines() if not re.match(graph, line)]
    names = (
        r"^\s*\(\d+\) \w+:\s*|\{\{.*?\}\} ?|Error in user-defined .* Iterator::\S+ "
        r"| ?\[Op:.*"
    )
    return re.sub(names, "", lines[0]) if lines else type(error).__name__


def _image(contents: tf.Tensor, *, channels: int) -> tf.Tensor:
    return tf.io.decode_image(contents, channels=channels, expand_animations=False)


def _is_webp_with_alpha(contents: tf.Tensor) -> tf.Tensor:
    header = tf.io.decode_raw(contents, tf.uint8, fixed_length=_HEADER_BYTES)

    def holds(text: bytes, first: int) -> tf.Tensor:
        return tf.reduce_all(header[first : first + len(text)] == list(text))

    def flag(byte: int, mask: int) -> tf.Tensor:
        return tf.bitwise.bitwise_and(header[byte], tf.constant(mask, tf.uint8)) > 0

    extended = holds(b"VP8X", 12) & flag(20, _ALPHA) & ~flag(20, _ANIMATION)
    lossless = holds(b"VP8L", 12) & flag(24, _ALPHA)
    return holds(b"RIFF", 0) & holds(b"WEBP", 8) & (extended | lossless)
