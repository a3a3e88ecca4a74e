"""The height and width of an image file, read from its header without decoding it.

They are those of the decoded pixels: a tag of orientation has no effect on either.
"""

import struct

from trainer.data import image_kind

Size = tuple[int, int]  # height and width

UNKNOWN: Size = (0, 0)

# JPEG markers that are followed by no length, and those of a frame, which say the size:
# sequential or progressive, as decoders of all kinds know them.
_BARE = frozenset((0x01, *range(0xD0, 0xD9)))
_FRAMES = frozenset((0xC0, 0xC1, 0xC2))


def size_of(contents: bytes) -> Size:
    """The size of a JPEG, PNG or WebP file, of which the beginning is enough.

    It is UNKNOWN where the header is damaged, of another kind, or goes on.
    """
    try:
        if image_kind.is_jpeg(contents):
            return _of_jpeg(contents)
        if contents.startswith(image_kind.PNG) and contents[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", contents, 16)
            return height, width
        if image_kind.is_webp(contents):
            return _of_webp(contents)
    except (struct.error, IndexError):
        pass  # it ends before it says its size
    return UNKNOWN


def _of_jpeg(contents: bytes) -> Size:
    place = 2
    while (place := contents.find(b"\xff", place)) >= 0:
        marker = contents[place + 1]
        if marker == 0xFF:  # one of several, which fill up
            place += 1
        elif marker == 0 or marker in _BARE:
            place += 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", contents, place + 5)
            return height, width
        else:
            (length,) = struct.unpack_from(">H", contents, place + 2)
            place += 2 + length
    return UNKNOWN


def _of_webp(contents: bytes) -> Size:
    kind = contents[12:16]
    if kind == b"VP8X":
        packed = struct.unpack_from("<HBHB", contents, 24)
        return 1 + packed[2] + (packed[3] << 16), 1 + packed[0] + (packed[1] << 16)
    if kind == b"VP8L" and contents[20] == 0x2F:
        (packed_sizes,) = struct.unpack_from("<I", contents, 21)
        return 1 + (packed_sizes >> 14 & 0x3FFF), 1 + (packed_sizes & 0x3FFF)
    if kind == b"VP8 " and contents[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", contents, 26)
        return height & 0x3FFF, width & 0x3FFF  # above them is a scale
    return UNKNOWN
