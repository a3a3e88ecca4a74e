"""Objects of a store such as gs://, with few requests.

TensorFlow's client opens a connection for each, so that a question costs as much as a
small read: whether there is an object is known by reading it, and no folder is made.
"""

import glob
import io
import pathlib
import shutil
from collections.abc import Iterator
from typing import IO, cast

from etils import epath

_CHUNK_BYTES = 2**22
_SMALL_BYTES = 2**26  # as much as the client reads of gs:// at once
_TRIES = 3


def upload(source: pathlib.Path, target: epath.Path) -> None:
    """Makes the object `target` a copy of a local file."""
    with open(source, "rb") as file, cast(IO[bytes], target.open("wb")) as copy:
        copy.write(b"")  # else there is no object where the file is empty
        shutil.copyfileobj(file, copy, _CHUNK_BYTES)


def upload_and_look(source: pathlib.Path, target: epath.Path) -> None:
    """The same, until the store has all of it.

    The client takes an upload for done that a store, or what is between, says it has.

    Raises:
      OSError: it has not after several times.
    """
    for _ in range(_TRIES):
        upload(source, target)
        expected, found = source.stat().st_size, target.stat().length
        if found == expected:
            return
    raise OSError(f"the store has kept {found} bytes of {expected}")


def chunks(path: epath.Path) -> Iterator[bytes]:
    """The contents of an object, whose size is not asked for.

    Raises:
      FileNotFoundError: there is no such object.
    """
    with cast(IO[bytes], path.open("rb")) as file:
        while len(chunk := file.read(_CHUNK_BYTES)) == _CHUNK_BYTES:
            yield chunk
        yield chunk


def open_for_reading(path: epath.Path) -> IO[bytes]:
    """An object as a file; a small one is read at once, whatever is looked for in it.

    Raises:
      FileNotFoundError: there is no such object.
    """
    if path.stat().length <= _SMALL_BYTES:
        return io.BytesIO(b"".join(chunks(path)))
    return cast(IO[bytes], path.open("rb"))


def list_folder(folder: epath.Path) -> list[epath.Path]:
    """The paths in `folder`, by a listing of all that is below it."""
    return list(_without_patterns(folder).glob("*"))


def names_in(folder: epath.Path) -> set[str]:
    """The names in `folder`, without a listing of all that is below them."""
    import tensorflow as tf  # which a store needs anyway

    try:
        return {path.name for path in folder.iterdir()}
    except tf.errors.NotFoundError:
        # So it says of a store that does not answer, too.
        if folder.exists():
            raise
        return set()


def walk(folder: epath.Path) -> Iterator[epath.Path]:
    """The objects below `folder`, those of a depth by one listing."""
    folder, pattern = _without_patterns(folder), "*"
    level = set(folder.glob(pattern))
    while level:
        pattern += "/*"
        below = set(folder.glob(pattern))
        # The name of an object that stands for a folder ends in a slash: it is found
        # once more.
        markers = below & level
        yield from sorted(level - markers - {path.parent for path in below})
        level = below - markers


def _without_patterns(folder: epath.Path) -> epath.Path:
    """The folder for glob, to which its name may be a pattern."""
    return epath.Path(glob.escape(str(folder)))
