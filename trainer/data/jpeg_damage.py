"""JPEG files of which a part was lost, which decoders fill with grey.

A disk that failed, or a download that was cut, leaves zeros, or another byte, where
pixels were. TensorFlow only warns of them on standard error. Long runs of a byte are no
proof: an even picture may be stored so, and what is beside the picture too.
"""

from collections.abc import Callable, Iterator

import numpy as np

_SECTOR_BYTES = 512  # the least that a disk loses
_CELL_BYTES = 128  # changed at a time; above the 64 of a table that may be even
_PROBE_BYTES = 16
_END = b"\xff\xd9"


def is_damaged(contents: bytes, decode: Callable[[bytes], np.ndarray]) -> bool:
    """Whether a part of the picture is lost, of a JPEG that can be decoded."""
    runs = list(_bytes_of_runs(contents))
    if not runs:
        return False
    picture = decode(contents)

    def is_same(changed: bytes) -> bool:
        return np.array_equal(decode(changed), picture)

    return any(_is_lost(contents, run, is_same) for run in runs)


def has_runs(contents: bytes) -> bool:
    """Whether a byte stands for a sector somewhere, so that a part may be lost."""
    return any(True for _ in _bytes_of_runs(contents))


def _is_lost(contents: bytes, run: bytes, is_same: Callable[[bytes], bool]) -> bool:
    """Whether runs of a byte are in the place of a part of the picture.

    The data of a whole picture end where its last pixel does. With a part lost they end
    sooner or later: more data before the end of the file change the picture, or a
    change of the last data does not.
    """
    other = b"\x33" if run == b"\x55" else b"\x55"  # neither a marker nor zeros
    if is_same(contents.replace(run * _CELL_BYTES, other * _CELL_BYTES)):
        return False  # they are beside the picture
    data, end = contents, b""
    if contents.rstrip(b"\0").endswith(_END):
        last = contents.rindex(_END)
        data, end = contents[:last], contents[last:]
    if end and not is_same(data + other * _CELL_BYTES + end):
        return True
    return is_same(data[:-_PROBE_BYTES] + other * _PROBE_BYTES + end)


def _bytes_of_runs(contents: bytes) -> Iterator[bytes]:
    """Each byte that stands there for a sector."""
    half = _SECTOR_BYTES // 2
    # A sector that is even covers one of these at least.
    blocks = np.frombuffer(contents, np.uint8)[: len(contents) // half * half]
    blocks = blocks.reshape(-1, half)
    even = blocks[(blocks == blocks[:, :1]).all(axis=1), 0]
    for value in np.unique(even):
        if bytes([value]) * _SECTOR_BYTES in contents:
            yield bytes([value])
