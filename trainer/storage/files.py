"""Files of the workdir, on a disk or behind tf.io.gfile: writes complete or absent.

On a local disk, and on one that machines share through POSIX, a file is replaced at
once and durably. In an object store (gs://) an object appears whole or not at all, and
nothing keeps two writers apart: a workdir there must have one writer. A store has no
folders that must be made, and each question to it costs as much as a small read.
"""

import contextlib
import errno
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any, cast

from etils import epath

from trainer.config import places
from trainer.storage import json_text, objects

_WAY_OUT = "choose another --workdir"


class StorageError(OSError):
    """A file of the workdir cannot be read or written; the message says which."""


def path_of(name: str, *, setting: str) -> epath.Path:
    """The path that a user calls `name`: on a disk, or in a store such as gs://.

    Raises:
      StorageError: `setting` names a store that cannot be reached from here.
    """
    scheme, has_scheme, _ = name.partition("://")
    if has_scheme:
        # Loads TensorFlow, which the first file of a store would do anyway.
        import tensorflow as tf

        if scheme in tf.io.gfile.get_registered_schemes():
            with contextlib.suppress(KeyError):  # not one that epath knows
                return epath.Path(name)
        raise StorageError(
            f"{setting} must be on a disk or in a store that TensorFlow reaches, such "
            f"as gs://BUCKET/FOLDER, got {name!r}; choose one of these"
        )
    path = epath.Path(places.expand_home(name))
    if str(path).startswith("~"):
        raise StorageError(
            f"{setting} must be in a home folder that is there, got {name!r}; write "
            f"./{name} for a folder of this name"
        )
    if is_remote(path):
        raise StorageError(
            f"{setting} must say whether it is on a disk, got {name!r}, which stands "
            f"for {path} too; write {path}, or mount the disk elsewhere"
        )
    return path


def is_remote(path: epath.PathLike) -> bool:
    """Whether `path` is in an object store, where only tf.io.gfile reaches it."""
    # A local path has no two slashes in a row.
    return "://" in str(path)


@contextlib.contextmanager
def atomic_path(
    path: epath.Path, *, hint: str = _WAY_OUT, is_work: bool = False
) -> Iterator[pathlib.Path]:
    """Yields a temporary local path; what is written there becomes the file `path`.

    The suffix is kept, since some writers choose their format by it. When the body
    raises, the temporary file is removed and what `path` held before stays. Messages
    end in `hint`. A store is asked whether it has all of what `is_work` of hours.

    Raises:
      StorageError: the disk is full, or the folder cannot be written.
    """
    writing = _upload(path, is_work) if is_remote(path) else _rename(path)
    with wrap_write_errors(path, hint=hint), writing as it:
        yield it


@contextlib.contextmanager
def _upload(path: epath.Path, is_work: bool) -> Iterator[pathlib.Path]:
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        temporary = pathlib.Path(folder, path.name)
        yield temporary
        upload = objects.upload_and_look if is_work else objects.upload
        upload(temporary, path)


@contextlib.contextmanager
def _rename(path: epath.Path) -> Iterator[pathlib.Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside it, because only within a disk is a file renamed at once.
    temporary = pathlib.Path(path.with_name(f".writing-{path.name}"))
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def local_copy(path: epath.Path) -> Iterator[pathlib.Path]:
    """Yields `path` itself, or a temporary local file with what a store holds there.

    Raises:
      StorageError: the store cannot be read.
    """
    if not is_remote(path):
        yield pathlib.Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        copy = pathlib.Path(folder, path.name)
        with wrap_read_errors(path), open(copy, "wb") as file:
            file.writelines(objects.chunks(path))
        yield copy


@contextlib.contextmanager
def wrap_write_errors(path: epath.PathLike, *, hint: str = _WAY_OUT) -> Iterator[None]:
    """Turns a file system's error in writing `path` into a sentence for the user.

    It ends in `hint`.
    """
    try:
        yield
    except Exception as error:
        problem = _problem(path, error)
        if not problem:
            raise
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            f"{path} cannot be written: {problem}; "
            f"{'make room there or ' if full else ''}{hint}; "
            "files written before are intact"
        ) from error


@contextlib.contextmanager
def wrap_read_errors(
    path: epath.PathLike, *, disks_too: bool = False
) -> Iterator[None]:
    """Turns a store's error in reading `path` into a sentence.

    Disks pass theirs on, unless it is `disks_too`.
    """
    try:
        yield
    except Exception as error:
        problem = _problem(path, error) if disks_too or is_remote(path) else ""
        if not problem:
            raise
        raise StorageError(
            f"{path} cannot be read: {problem}; see that its name is right, and that "
            "this machine may read it"
        ) from error


def _problem(path: epath.PathLike, error: Exception) -> str:
    """The file system's words for `error`; "" where something else has failed."""
    if isinstance(error, StorageError):
        return ""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    if is_remote(path):
        import tensorflow as tf  # which has raised it, if it is a store's error

        if isinstance(error, tf.errors.OpError):
            return error.message.strip() or type(error).__name__
    return ""


def exists(path: epath.Path) -> bool:
    """Whether there is a file or folder at `path`.

    Raises:
      StorageError: the store cannot be read.
    """
    with wrap_read_errors(path):
        return path.exists()


def read(path: epath.Path) -> bytes | None:
    """The contents of the file at `path`; None where there is none.

    Raises:
      StorageError: the store cannot be read.
    """
    nothing = contextlib.suppress(FileNotFoundError, NotADirectoryError)
    with wrap_read_errors(path), nothing:
        if is_remote(path):
            return b"".join(objects.chunks(path))
        return path.read_bytes()
    return None


def open_for_reading(path: epath.Path) -> IO[bytes]:
    """The file at `path`, open for reading."""
    if is_remote(path):
        return objects.open_for_reading(path)
    return cast(IO[bytes], path.open("rb"))


def list_folder(folder: epath.Path) -> list[epath.Path]:
    """Lists the paths in `folder`; none where there is no such folder.

    Raises:
      StorageError: the store cannot be read.
    """
    with wrap_read_errors(folder):
        if is_remote(folder):
            return objects.list_folder(folder)
        # Not glob, to which a folder may have a pattern for its name.
        return list(folder.iterdir()) if folder.is_dir() else []


def names_in(folder: epath.Path) -> set[str]:
    """The names in `folder`, below which there may be much; none where it is not there.

    Raises:
      StorageError: the store cannot be read.
    """
    if not is_remote(folder):
        return {path.name for path in list_folder(folder)}
    with wrap_read_errors(folder):
        return objects.names_in(folder)


def walk(folder: epath.Path) -> Iterator[epath.Path]:
    """The files in `folder` and in all folders below it."""
    if is_remote(folder):
        with wrap_read_errors(folder):
            yield from objects.walk(folder)
        return
    for path in list_folder(folder):
        if path.is_dir():
            yield from walk(path)
        else:
            yield path


def is_folder(path: epath.Path) -> bool:
    """Whether what is at `path` is a folder, and not a file or nothing.

    Raises:
      StorageError: the store cannot be read.
    """
    if not is_remote(path):
        return path.is_dir()
    with wrap_read_errors(path):
        return path.exists() and bool(path.stat().is_directory)


def num_bytes(path: epath.Path) -> int:
    """The size of the file at `path`."""
    # Of local files epath looks up the owner too, who has no name in many containers.
    return path.stat().length if is_remote(path) else os.path.getsize(path)


def append(path: epath.Path, data: bytes, *, durable: bool) -> None:
    """Adds `data` to the end of the file at `path` on a disk.

    It is safe from a loss of power afterwards if it is `durable`.

    Raises:
      StorageError: the disk is full, or the folder cannot be written.
    """
    with wrap_write_errors(path), open(path, "ab") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def write_text(path: epath.Path, text: str) -> None:
    """Replaces the file at `path` by `text`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: epath.Path, value: Any) -> None:
    """Replaces the file at `path` by `value` as JSON that a person can read."""
    write_text(path, json_text.text(value) + "\n")


def sync_folder(folder: epath.PathLike) -> None:
    """Makes the names in a local folder, new ones too, safe from a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
