"""Kept lists of earlier versions, which did not tell all that there is to tell.

Images had no size, and in still earlier ones nothing was said of transparent pixels.
"""

import dataclasses
import os
from typing import NamedTuple

import numpy as np

from trainer.config import IGNORE
from trainer.data import image_kind, looks
from trainer.data.examples import DataError
from trainer.data.file_bytes import bytes_of, is_gone
from trainer.data.image_size import UNKNOWN, Size, size_of
from trainer.data.listed_files import OPAQUE, ListedFiles
from trainer.data.readers import for_each

_HEADER_BYTES = 2**16  # of a JPEG, in which its size mostly is


class _Seen(NamedTuple):
    background: str
    size: Size


def fill_in(root: str, lines: ListedFiles) -> ListedFiles:
    """The lines with sizes, and with what earlier versions did to alpha: dropped it.

    They are the same where all is known. Of images that are gone nothing is told.

    Raises:
      DataError: an image that was not looked at yet cannot be read, but is there.
    """
    is_unknown = lines.backgrounds.equals("") | (lines.sizes[:, 0] == 0)
    rows = np.flatnonzero(lines.are_examples & is_unknown)
    if not len(rows):
        return lines

    def look(row: int) -> _Seen:
        path, background = lines.paths[row], lines.backgrounds[row]
        try:
            return _look(os.path.join(root, path), background)
        except DataError as error:
            if is_gone(error):
                return _Seen(background, UNKNOWN)
            raise

    seen = for_each(look, rows, title="looking for sizes and alpha")
    sizes = lines.sizes.copy()
    sizes[rows] = [each.size for each in seen]
    behind = lines.backgrounds.replace(rows, [each.background for each in seen])
    return dataclasses.replace(lines, sizes=sizes, backgrounds=behind)


def _look(path: str, background: str) -> _Seen:
    contents = bytes_of(path, _HEADER_BYTES)
    size = size_of(contents)
    if size == UNKNOWN or not (background or image_kind.is_jpeg(contents)):
        contents = bytes_of(path)
        size = size_of(contents)
    is_known = bool(background) or not image_kind.has_alpha(contents)
    if is_known and size != UNKNOWN:
        return _Seen(background or OPAQUE, size)
    found = looks.decoded(contents, IGNORE)
    return _Seen(background or found.background, found.size)
