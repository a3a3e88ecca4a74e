"""Whole folders: what is in them by checksum, copies, and their safety on a disk."""

import hashlib
import os
import pathlib
import shutil

from etils import epath

from trainer.storage import files, objects

_CHUNK_BYTES = 2**20


def checksum(path: epath.Path) -> str:
    """SHA-256 of the file at `path`."""
    digest = hashlib.sha256()
    with files.open_for_reading(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def names(folder: epath.Path) -> list[str]:
    """The files in `folder` and below it, by their paths from there."""
    prefix = f"{folder}/"
    return sorted(str(path).removeprefix(prefix) for path in files.walk(folder))


def num_bytes(folder: epath.Path) -> int:
    """The size of all files in `folder` and below it."""
    return sum(files.num_bytes(path) for path in files.walk(folder))


def replace(source: pathlib.Path, target: epath.Path, *, hint: str) -> None:
    """Makes `target` a copy of the local folder `source`, in place of what was there.

    Raises:
      StorageError: it cannot be written; the message ends in `hint`.
    """
    with files.wrap_write_errors(target, hint=hint):
        if target.exists():
            target.rmtree()
        if files.is_remote(target):
            upload(source, target, list(names(epath.Path(source))))
            return
        # Beside it, since a folder is renamed at once.
        writing = pathlib.Path(target.with_name(f".writing-{target.name}"))
        shutil.rmtree(writing, ignore_errors=True)
        try:
            copy(source, writing)
            sync(writing)
            os.rename(writing, target)
            files.sync_folder(target.parent)
        finally:
            shutil.rmtree(writing, ignore_errors=True)


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a local folder; the first error ends it, shutil.copytree collects."""
    for name in names(epath.Path(source)):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def upload(source: pathlib.Path, target: epath.Path, paths: list[str]) -> None:
    """Copies the files `paths` of a local folder into one of a store, in this order."""
    for name in paths:
        objects.upload(source / name, target / name)


def sync(folder: pathlib.Path) -> None:
    """Makes a local folder with all that is in it safe from a loss of power."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
