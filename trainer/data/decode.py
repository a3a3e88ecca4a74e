"""Encoded images to pixels. H W = image."""

import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.config import Colour
from trainer.data import image_kind, jpeg_damage, jpeg_pixels

# Of red, green and blue in a grey pixel, as ITU-R BT.601 has it and PIL rounds it.
_SHARES_OF_GREY, _WHOLE = (19595, 38470, 7471), 2**16

# Of a WebP file: as much as says whether it has an alpha channel.
_HEADER_BYTES = 25
_LARGEST_PROFILE = 2**20  # bytes of a PNG before its pixels
_ALPHA, _ANIMATION = 0x10, 0x02  # flags, the first one in two places

_CONTENTS = [tf.TensorSpec((), tf.string)]


def decode(contents: tf.Tensor, *, background: Colour | None = None) -> tf.Tensor:
    """Colours of an image file: bytes -> uint8 [H, W, 3]; see `decode_with_alpha`."""
    return decode_with_alpha(contents.numpy(), background=background)[0]


def decode_with_alpha(
    contents: bytes, *, background: Colour | None = None
) -> tuple[tf.Tensor, bool]:
    """Colours of a JPEG, PNG or WebP file, and whether any pixel is transparent.

    The colours, uint8 [H, W, 3], are as `pixels` and `blend` have them. It is looked
    for damage that `pixels` lets pass.

    Raises:
      tf.errors.InvalidArgumentError: the file is damaged, a part of it is lost, or it
        is of another kind.
    """
    other = image_kind.other_kind(contents)
    if other:
        raise _refusal(f"a file of another kind ({other}) under the name of an image")
    if image_kind.has_alpha(contents):
        image = _with_alpha(tf.constant(contents))
        is_transparent = bool((image[..., 3].numpy() < 255).any())
        if is_transparent and background is not None:
            return blend(image, background), True
        return image[..., :3], is_transparent
    image = _without_alpha(tf.constant(contents))
    if image_kind.is_jpeg(contents) and jpeg_damage.is_damaged(contents, _picture):
        raise _refusal("a part of this JPEG is lost: one byte stands in its place")
    return image, False


def pixels(contents: tf.Tensor) -> tf.Tensor:
    """Colours of an image file: bytes -> uint8 [H, W, 3].

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
        jpeg_pixels.is_jpeg(contents),
        lambda: jpeg_pixels.decode(contents, channels=3),
        lambda: tf.cond(
            _is_webp_with_alpha(contents),
            lambda: _image(contents, channels=4)[..., :3],
            lambda: _image(contents, channels=3),
        ),
    )
    image.set_shape((None, None, 3))
    return image


def blend(image: tf.Tensor, background: Colour) -> tf.Tensor:
    """Colours and alpha laid on one colour: uint8 [H, W, 4] -> [H, W, 3]."""
    wide = tf.cast(image, tf.int32)
    colours, alpha = wide[..., :3], wide[..., 3:]
    total = colours * alpha + tf.constant(background) * (255 - alpha)
    return tf.cast((total + 127) // 255, tf.uint8)


def to_grey(image: tf.Tensor) -> tf.Tensor:
    """Converts colours to luma: uint8 [H, W, 3] -> [H, W, 1]; greys stay the same."""
    shares = tf.constant(_SHARES_OF_GREY)
    total = tf.reduce_sum(tf.cast(image, tf.int32) * shares, axis=-1, keepdims=True)
    return tf.cast((total + _WHOLE // 2) // _WHOLE, tf.uint8)


def blended(
    contents: tf.Tensor, *, has_alpha: tf.Tensor, background: Colour
) -> tf.Tensor:
    """Colours as `pixels` has them, on the background where it `has_alpha`.

    That is as image_kind tells: TensorFlow finds no right alpha in other images.
    """
    image = tf.cond(
        has_alpha,
        lambda: blend(_image(contents, channels=4), background),
        lambda: pixels(contents),
    )
    image.set_shape((None, None, 3))
    return image


def with_alpha_blended(
    contents: tf.Tensor,
    opaque: Callable[[], tf.Tensor],
    *,
    channels: int,
    background: Colour,
) -> tf.Tensor:
    """An image file that lies on the background where it has alpha.

    Whether it has is found in the contents; `opaque` decodes those without. Both give
    as many `channels`, 1 or 3.
    """

    def laid() -> tf.Tensor:
        image = blend(_image(contents, channels=4), background)
        return to_grey(image) if channels == 1 else image

    return tf.cond(_has_alpha(contents), laid, opaque)


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


# One call each: eager operations would take longer than the decoding.
@tf.function(autograph=False, input_signature=_CONTENTS)
def _without_alpha(contents: tf.Tensor) -> tf.Tensor:
    with tf.device("/cpu:0"):
        return pixels(contents)


@tf.function(autograph=False, input_signature=_CONTENTS)
def _with_alpha(contents: tf.Tensor) -> tf.Tensor:
    with tf.device("/cpu:0"):
        return _image(contents, channels=4)


def _picture(contents: bytes) -> np.ndarray:
    picture: np.ndarray = _without_alpha(tf.constant(contents)).numpy()
    return picture


def _refusal(message: str) -> tf.errors.InvalidArgumentError:
    return tf.errors.InvalidArgumentError(None, None, message)


def _has_alpha(contents: tf.Tensor) -> tf.Tensor:
    """Decides as image_kind.has_alpha, but misses a tRNS after a profile of 1 MiB."""

    def of_png() -> tf.Tensor:
        kind = tf.io.decode_raw(contents, tf.uint8, fixed_length=_HEADER_BYTES + 1)[25]
        before = tf.strings.substr(contents, 0, _LARGEST_PROFILE)
        before = tf.strings.regex_replace(before, r"IDAT\C*", "")
        has_colour = tf.strings.regex_full_match(before, r"\C*tRNS\C*")
        return (kind == 4) | (kind == 6) | has_colour

    is_png = tf.strings.substr(contents, 0, 4) == b"\x89PNG"
    return tf.cond(is_png, of_png, lambda: _is_webp_with_alpha(contents))


def _is_webp_with_alpha(contents: tf.Tensor) -> tf.Tensor:
    header = tf.io.decode_raw(contents, tf.uint8, fixed_length=_HEADER_BYTES)

    def holds(text: bytes, first: int) -> tf.Tensor:
        return tf.reduce_all(header[first : first + len(text)] == list(text))

    def flag(byte: int, mask: int) -> tf.Tensor:
        return tf.bitwise.bitwise_and(header[byte], tf.constant(mask, tf.uint8)) > 0

    extended = holds(b"VP8X", 12) & flag(20, _ALPHA) & ~flag(20, _ANIMATION)
    lossless = holds(b"VP8L", 12) & flag(24, _ALPHA)
    return holds(b"RIFF", 0) & holds(b"WEBP", 8) & (extended | lossless)
