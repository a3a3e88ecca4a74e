"""Image files by their content, told without decoding them."""

# The first bytes of the kinds that are examples.
JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"

# The first bytes of kinds of file that are no examples, even where named .jpg.
_OTHERS = {
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"8BPS": "Photoshop",
    b"\0\0\1\0": "icon",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"%PDF": "PDF",
    b"<?xml": "XML or SVG",
    b"<svg": "SVG",
    b"<!DOCTYPE": "HTML",
    b"<html": "HTML",
}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"}  # others of such files are of HEIC

HEADER_BYTES = 32  # of a file, which say of what kind it is

# Bits in the flags of a WebP file.
_WEBP_ALPHA, _WEBP_ANIMATION = 0x10, 0x02


def is_jpeg(contents: bytes) -> bool:
    """Whether a file begins as a JPEG."""
    return contents.startswith(JPEG)


def is_webp(contents: bytes) -> bool:
    """Whether a file begins as a WebP image."""
    return contents[:4] == b"RIFF" and contents[8:12] == b"WEBP"


def is_animated(contents: bytes) -> bool:
    """Whether a WebP file holds several images, which cannot be decoded."""
    return contents[12:16] == b"VP8X" and bool(contents[20] & _WEBP_ANIMATION)


def other_kind(contents: bytes) -> str:
    """The name of another kind of file than JPEG, PNG or WebP; "" if none is known."""
    if contents[4:8] == b"ftyp":
        return _BRANDS.get(contents[8:12], "HEIC or video")
    found = (kind for begin, kind in _OTHERS.items() if contents.startswith(begin))
    return next(found, "")


def has_alpha(contents: bytes) -> bool:
    """Whether an image has an alpha channel, or a colour that is transparent.

    Its pixels may be opaque all the same. An animated WebP cannot be decoded.
    """
    if contents.startswith(PNG):
        # The kind of colour: grey or red, green and blue, with alpha.
        return contents[25:26] in (b"\4", b"\6") or _has_transparent_colours(contents)
    if not is_webp(contents) or len(contents) < 25:
        return False
    if contents[12:16] == b"VP8X":
        return bool(contents[20] & _WEBP_ALPHA) and not is_animated(contents)
    return contents[12:16] == b"VP8L" and bool(contents[24] & _WEBP_ALPHA)


def _has_transparent_colours(contents: bytes) -> bool:
    """Whether a PNG has the chunk of them, which comes before its pixels."""
    place = len(PNG)
    while place + 8 <= len(contents):
        name = contents[place + 4 : place + 8]
        if name in (b"tRNS", b"IDAT"):
            return name == b"tRNS"
        # Its length, and four bytes each of length, name and checksum.
        place += int.from_bytes(contents[place : place + 4]) + 12
    return False
