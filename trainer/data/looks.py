"""Looks at the contents of a file, by which it is listed."""

from typing import NamedTuple

import tensorflow as tf

from trainer.data import image_kind, jpeg_damage
from trainer.data.decode import decode_with_alpha, reason
from trainer.data.image_size import UNKNOWN, Size, size_of
from trainer.data.listed_files import DAMAGED, EXAMPLE, OPAQUE

_END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"
_END_OF_JPEG = b"\xff\xd9"


class Look(NamedTuple):
    """A file as it is found."""

    state: str
    background: str
    size: Size
    is_decoded: bool


def decoded(contents: bytes, background: str) -> Look:
    """A look at all pixels, of which the transparent ones lie on the `background`."""
    try:
        image, is_transparent = decode_with_alpha(contents)
    except tf.errors.InvalidArgumentError as error:
        return Look(DAMAGED + reason(error), OPAQUE, UNKNOWN, True)
    height, width, _ = image.shape
    behind = background if is_transparent else OPAQUE
    return Look(EXAMPLE, behind, (height, width), True)


def at_ends(contents: bytes, background: str) -> Look:
    """A look at the header and the end, and at all pixels only where these are odd.

    So nothing is told to be damaged that can be decoded. Transparent pixels are looked
    for where there is an alpha channel.
    """
    size = size_of(contents)
    if size == UNKNOWN or image_kind.has_alpha(contents) or not _is_whole(contents):
        return decoded(contents, background)
    return Look(EXAMPLE, OPAQUE, size, False)


def _is_whole(contents: bytes) -> bool:
    if image_kind.is_jpeg(contents):
        is_even = jpeg_damage.has_runs(contents)
        return contents.endswith(_END_OF_JPEG) and not is_even
    if image_kind.is_webp(contents):
        told = int.from_bytes(contents[4:8], "little") + 8
        return told == len(contents) and not image_kind.is_animated(contents)
    return contents.endswith(_END_OF_PNG)
