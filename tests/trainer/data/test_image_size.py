"""Sizes of images told by their headers are those of PIL."""

import io

import numpy as np
import pytest
from PIL import Image

from trainer.data.image_size import UNKNOWN, size_of

HEIGHT, WIDTH = 37, 300  # above 255, in the order that no format has


def picture(mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(0)
    shape = (HEIGHT, WIDTH, 4)
    return Image.fromarray(rng.integers(0, 256, shape, np.uint8), "RGBA").convert(mode)


def encoded(mode: str, form: str, **settings: object) -> bytes:
    file = io.BytesIO()
    picture(mode).save(file, form, **settings)
    return file.getvalue()


def turned() -> bytes:
    tags = Image.Exif()
    tags[0x0112] = 6  # to be shown turned by 90 degrees
    return encoded("RGB", "JPEG", exif=tags)


def behind_a_thumbnail() -> bytes:
    """A JPEG whose tags hold another one, of another size."""
    inner = io.BytesIO()
    picture().resize((16, 8)).save(inner, "JPEG")
    return encoded("RGB", "JPEG", exif=b"Exif\0\0" + inner.getvalue())


def filled_up() -> bytes:
    """A JPEG with more of the bytes that begin a marker, which mean nothing."""
    return encoded("RGB", "JPEG").replace(b"\xff\xc0", b"\xff\xff\xff\xc0", 1)


FILES = {
    "jpeg": encoded("RGB", "JPEG"),
    "progressive": encoded("RGB", "JPEG", progressive=True),
    "grey": encoded("L", "JPEG"),
    "cmyk": encoded("CMYK", "JPEG"),
    "turned": turned(),
    "thumbnail": behind_a_thumbnail(),
    "filled up": filled_up(),
    "profile": encoded("RGB", "JPEG", icc_profile=bytes(150_000)),
    "png": encoded("RGB", "PNG"),
    "png palette": encoded("P", "PNG"),
    "png alpha": encoded("RGBA", "PNG"),
    "webp": encoded("RGB", "WEBP"),
    "webp alpha": encoded("RGBA", "WEBP"),
    "webp lossless": encoded("RGB", "WEBP", lossless=True),
    "webp lossless alpha": encoded("RGBA", "WEBP", lossless=True),
    "webp extended": encoded("RGB", "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_header_tells_the_size_of_the_pixels(name):
    with Image.open(io.BytesIO(FILES[name])) as image:
        assert (image.height, image.width) == (HEIGHT, WIDTH)
    assert size_of(FILES[name]) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("name", ["jpeg", "profile", "png", "webp", "webp lossless"])
def test_a_header_that_is_cut_tells_no_size(name):
    contents = FILES[name]
    found = {size_of(contents[:end]) for end in range(min(len(contents), 2000))}
    assert found <= {UNKNOWN, (HEIGHT, WIDTH)}
    assert size_of(contents[:12]) == UNKNOWN


@pytest.mark.parametrize("form", ["BMP", "GIF", "TIFF"])
def test_other_kinds_of_files_have_no_size_here(form):
    assert size_of(encoded("RGB", form)) == UNKNOWN
