"""Encoded images against PIL, and what cannot be decoded."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.data.decode import decoded, reason

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (9, 7, 1), dtype=np.uint8)
# Lossy formats keep smooth images; PIL's JPEG decoder rounds in other places.
SMOOTH = np.asarray(Image.fromarray(COLOURS).resize((70, 90), Image.Resampling.BICUBIC))


def encoded(image: Image.Image, form: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


def opaque(pixels: np.ndarray = COLOURS) -> Image.Image:
    return Image.fromarray(pixels)


def transparent() -> Image.Image:
    return Image.fromarray(np.concatenate([COLOURS, ALPHA], axis=-1))


def by_pil(contents: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))


EXACT = {
    "png": encoded(opaque(), "PNG"),
    "png grey": encoded(opaque().convert("L"), "PNG"),
    "png black and white": encoded(opaque().convert("1"), "PNG"),
    "png palette": encoded(opaque().quantize(16), "PNG"),
    "png palette with a transparent colour": encoded(
        opaque().quantize(16), "PNG", transparency=3
    ),
    "png grey with alpha": encoded(transparent().convert("LA"), "PNG"),
    "png with alpha": encoded(transparent(), "PNG"),
    "png animated": encoded(
        opaque(), "PNG", save_all=True, append_images=[opaque(255 - COLOURS)]
    ),
    "webp lossless": encoded(opaque(), "WEBP", lossless=True),
    "webp lossy": encoded(opaque(), "WEBP"),
    "webp lossless with alpha": encoded(transparent(), "WEBP", lossless=True),
    "webp lossy with alpha": encoded(transparent(), "WEBP"),
}
CLOSE = {
    "jpeg": encoded(opaque(SMOOTH), "JPEG", quality=95),
    "jpeg grey": encoded(opaque(SMOOTH).convert("L"), "JPEG", quality=95),
    "jpeg progressive": encoded(opaque(SMOOTH), "JPEG", progressive=True),
    "jpeg cmyk": encoded(opaque(SMOOTH).convert("CMYK"), "JPEG", quality=95),
}


@pytest.mark.parametrize("name", EXACT)
def test_an_image_has_the_colours_that_pil_finds(name):
    image = decoded(tf.constant(EXACT[name]))
    assert image.dtype == tf.uint8
    np.testing.assert_array_equal(image, by_pil(EXACT[name]))


@pytest.mark.parametrize("name", CLOSE)
def test_a_jpeg_has_nearly_the_colours_that_pil_finds(name):
    image = decoded(tf.constant(CLOSE[name])).numpy().astype(int)
    assert image.shape == (90, 70, 3)
    assert np.abs(image - by_pil(CLOSE[name])).mean() < 2


def test_alpha_is_dropped_and_not_blended():
    image = decoded(tf.constant(EXACT["png with alpha"]))
    np.testing.assert_array_equal(image, COLOURS)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_upper_half_of_16_bits_stays(channels):
    deep = RNG.integers(0, 2**16, (9, 7, channels)).astype(np.uint16)
    image = decoded(tf.io.encode_png(deep))
    np.testing.assert_array_equal(image, np.broadcast_to(deep >> 8, (9, 7, 3)))


def test_orientation_tags_have_no_effect():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    contents = encoded(opaque(SMOOTH), "JPEG", exif=exif)
    assert decoded(tf.constant(contents)).shape == (90, 70, 3)


def refusal(contents: bytes) -> str:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        decoded(tf.constant(contents))
    return reason(caught.value)


@pytest.mark.parametrize("name", ["png", "webp lossless", "webp lossy", "jpeg"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_image_is_refused(name, share):
    contents = (EXACT | CLOSE)[name]
    assert refusal(contents[: int(share * len(contents))])


def test_a_flipped_bit_of_a_png_is_refused():
    contents = bytearray(EXACT["png"])
    contents[len(contents) // 2] ^= 1
    assert refusal(bytes(contents)).startswith("Invalid PNG data")


def test_text_is_no_image():
    assert refusal(b"an image of a cat").startswith("Unknown image file format")


@pytest.mark.parametrize("image", [opaque, transparent])
def test_an_animated_webp_is_refused(image):
    # TensorFlow 2.21 corrupts the heap of some, so they must not reach its decoder.
    contents = encoded(
        image(), "WEBP", save_all=True, append_images=[opaque(255 - COLOURS)]
    )
    assert refusal(contents)
