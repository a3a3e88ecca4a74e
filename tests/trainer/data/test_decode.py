"""Encoded images against PIL, and what cannot be decoded."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers.messages import assert_states
from trainer.data.decode import (
    _has_alpha,
    blended,
    decode,
    decode_with_alpha,
    pixels,
    reason,
    to_grey,
    with_alpha_blended,
)
from trainer.data.image_kind import has_alpha

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (9, 7, 1), dtype=np.uint8)
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
NOISE = RNG.integers(0, 256, (61, 83, 3), dtype=np.uint8)
EXACT |= {
    "jpeg": encoded(opaque(SMOOTH), "JPEG", quality=95),
    "jpeg grey": encoded(opaque(SMOOTH).convert("L"), "JPEG", quality=95),
    "jpeg progressive": encoded(opaque(SMOOTH), "JPEG", progressive=True),
    "jpeg cmyk": encoded(opaque(SMOOTH).convert("CMYK"), "JPEG", quality=95),
    **{
        f"jpeg noise {colours} {quality} {progressive}": encoded(
            opaque(NOISE),
            "JPEG",
            subsampling=colours,
            quality=quality,
            progressive=progressive,
        )
        for colours in ("4:4:4", "4:2:2", "4:2:0")
        for quality, progressive in ((60, False), (90, True))
    },
}


@pytest.mark.parametrize("name", EXACT)
def test_an_image_has_the_colours_that_pil_finds(name):
    image = decode(tf.constant(EXACT[name]))
    assert image.dtype == tf.uint8
    np.testing.assert_array_equal(image, by_pil(EXACT[name]))


def test_alpha_is_dropped_and_not_blended():
    image = decode(tf.constant(EXACT["png with alpha"]))
    np.testing.assert_array_equal(image, COLOURS)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_upper_half_of_16_bits_stays(channels):
    deep = RNG.integers(0, 2**16, (9, 7, channels)).astype(np.uint16)
    image = decode(tf.io.encode_png(deep))
    np.testing.assert_array_equal(image, np.broadcast_to(deep >> 8, (9, 7, 3)))


def test_orientation_tags_have_no_effect():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    contents = encoded(opaque(SMOOTH), "JPEG", exif=exif)
    assert decode(tf.constant(contents)).shape == (90, 70, 3)


def damage(contents: bytes) -> str:
    """The reason for which the contents are no image."""
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        decode_with_alpha(contents)
    return reason(caught.value)


@pytest.mark.parametrize("name", ["png", "webp lossless", "webp lossy", "jpeg"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_image_is_refused(name, share):
    contents = EXACT[name]
    assert damage(contents[: int(share * len(contents))])


def test_a_flipped_bit_of_a_png_is_refused():
    contents = bytearray(EXACT["png"])
    contents[len(contents) // 2] ^= 1
    assert_states(damage(bytes(contents)), "PNG")


def test_text_is_no_image():
    assert_states(damage(b"an image of a cat"), "Unknown image file format")


@pytest.mark.parametrize("image", [opaque, transparent])
def test_an_animated_webp_is_refused(image):
    # TensorFlow 2.21 corrupts the heap of some, so they must not reach its decoder.
    contents = encoded(
        image(), "WEBP", save_all=True, append_images=[opaque(255 - COLOURS)]
    )
    assert damage(contents)


def with_16_bit_alpha(channels: int) -> bytes:
    deep = RNG.integers(0, 2**16, (9, 7, channels)).astype(np.uint16)
    return tf.io.encode_png(deep).numpy()


TRANSPARENT = {
    "png with alpha": encoded(transparent(), "PNG"),
    "png grey with alpha": encoded(transparent().convert("LA"), "PNG"),
    "png of 16 bits with alpha": with_16_bit_alpha(4),
    "png grey of 16 bits with alpha": with_16_bit_alpha(2),
    "png with one transparent colour": encoded(
        opaque(), "PNG", transparency=tuple(map(int, COLOURS[4, 5]))
    ),
    "png grey with one transparent shade": encoded(
        opaque().convert("L"),
        "PNG",
        transparency=int(np.asarray(opaque().convert("L"))[3, 3]),
    ),
    "png black and white, one of them transparent": encoded(
        opaque().convert("1"), "PNG", transparency=0
    ),
    "png palette with a transparent colour": encoded(
        opaque().quantize(16), "PNG", transparency=3
    ),
    "png palette of 2 bits with alphas": encoded(
        opaque().quantize(4), "PNG", bits=2, transparency=bytes([0, 90, 200, 255])
    ),
    "webp lossless with alpha": encoded(transparent(), "WEBP", lossless=True),
    "webp lossy with alpha": encoded(transparent(), "WEBP"),
}
BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "other": (250, 3, 120)}


def pasted(contents: bytes, colour: tuple[int, int, int]) -> np.ndarray:
    """By PIL: the image on a sheet of the colour."""
    image = Image.open(io.BytesIO(contents)).convert("RGBA")
    sheet = Image.new("RGB", image.size, colour)
    sheet.paste(image, mask=image.getchannel("A"))
    return np.asarray(sheet)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("name", TRANSPARENT)
@pytest.mark.filterwarnings("ignore:Palette images")
def test_transparent_pixels_lie_on_the_background_as_in_pil(name, background):
    contents, colour = TRANSPARENT[name], BACKGROUNDS[background]
    expected = pasted(contents, colour)
    image, is_transparent = decode_with_alpha(contents, background=colour)
    assert is_transparent
    np.testing.assert_array_equal(image, expected)
    # As batches are made.
    image = blended(
        tf.constant(contents), has_alpha=tf.constant(True), background=colour
    )
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("name", TRANSPARENT)
def test_without_a_background_the_colours_under_alpha_are_as_they_were(name):
    contents = TRANSPARENT[name]
    image, is_transparent = decode_with_alpha(contents)
    assert is_transparent
    np.testing.assert_array_equal(image, pixels(tf.constant(contents)))


@pytest.mark.parametrize("name", EXACT)
def test_an_opaque_image_is_the_same_on_any_background(name):
    contents = EXACT[name]
    if name not in TRANSPARENT:
        image, is_transparent = decode_with_alpha(contents, background=(1, 2, 3))
        assert not is_transparent
        assert not has_alpha(contents)
        np.testing.assert_array_equal(image, pixels(tf.constant(contents)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted({*TRANSPARENT, *EXACT}))
def test_the_graph_finds_alpha_in_the_contents(name, channels):
    contents, colour = (EXACT | TRANSPARENT)[name], (250, 3, 120)

    expected = decode_with_alpha(contents, background=colour)[0]
    expected = to_grey(expected) if channels == 1 else expected

    def opaque() -> tf.Tensor:
        return tf.zeros((*expected.shape[:2], channels), tf.uint8)

    image = with_alpha_blended(
        tf.constant(contents), opaque, channels=channels, background=colour
    )
    if not has_alpha(contents):
        expected = opaque()
    np.testing.assert_array_equal(image, expected)


def test_an_alpha_channel_of_opaque_pixels_makes_no_image_transparent():
    contents = encoded(opaque().convert("RGBA"), "PNG")
    image, is_transparent = decode_with_alpha(contents, background=(1, 2, 3))
    assert has_alpha(contents)
    assert not is_transparent
    np.testing.assert_array_equal(image, COLOURS)


def test_a_colour_profile_before_the_transparent_colour_hides_it_from_nobody():
    contents = encoded(
        opaque().quantize(16), "PNG", transparency=3, icc_profile=b"tRNSIDAT" * 9000
    )
    assert has_alpha(contents)
    plain = encoded(opaque(), "PNG", icc_profile=b"tRNSIDAT" * 9000)
    assert not has_alpha(plain)


@pytest.mark.parametrize("form", ["BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "ICO"])
def test_a_file_of_another_kind_is_refused_by_its_name(form):
    if form == "AVIF":
        pytest.importorskip("PIL._avif")
    names = {"JPEG2000": "JPEG 2000", "ICO": "icon"}
    assert_states(damage(encoded(opaque(SMOOTH), form)), names.get(form, form))


def with_a_hole(contents: bytes, first: float, last: float, byte: int) -> bytes:
    begin, end = int(first * len(contents)), int(last * len(contents))
    return contents[:begin] + bytes([byte]) * (end - begin) + contents[end:]


@pytest.mark.parametrize("byte", [0x00, 0xFF, 0xA5])
@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"optimize": True}])
@pytest.mark.parametrize("hole", [(0.5, 0.999), (0.4, 0.8)])
def test_a_jpeg_with_a_lost_part_is_refused(byte, settings, hole):
    noisy = Image.fromarray(RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    whole = encoded(noisy, "JPEG", quality=90, **settings)
    assert not decode_with_alpha(whole)[1]
    assert damage(with_a_hole(whole, *hole, byte))


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"optimize": True}])
def test_an_even_picture_or_zeros_beside_one_are_no_damage(settings):
    even = np.full((900, 1200, 3), 255, np.uint8)
    even[:64, :64] = RNG.integers(0, 256, (64, 64, 3))
    contents = encoded(Image.fromarray(even), "JPEG", **settings)
    beside = encoded(opaque(SMOOTH), "JPEG", comment=bytes(5000), **settings)
    for whole in (contents, beside, beside + bytes(2000), contents + bytes(2000)):
        image, _ = decode_with_alpha(whole)
        np.testing.assert_array_equal(image, pixels(tf.constant(whole)))


def test_a_transparent_colour_is_found_behind_a_large_profile():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    profile = np.random.default_rng(0).bytes(300_000)  # not to be compressed
    file = io.BytesIO()
    image.save(file, "PNG", transparency=1, icc_profile=profile)
    contents = tf.constant(file.getvalue())
    assert _has_alpha(contents)
    assert not _has_alpha(tf.constant(file.getvalue().replace(b"tRNS", b"tXNS")))
