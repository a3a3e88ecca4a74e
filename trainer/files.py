"""Writes that are either complete or absent."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any


class StorageError(OSError):
    """A file of the workdir cannot be read or written; the message says which."""


@contextlib.contextmanager
def atomic_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`, which takes its name once it is on disk.

    The suffix is kept, since some writers choose their format by it. When the body
    raises, the temporary file is removed and what `path` held before stays.

    Raises:
      StorageError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f".writing-{path.name}")
    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def explained(path: pathlib.Path) -> Iterator[None]:
    """Turns an operating system's error about `path` into a sentence for the user."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}; make room there or "
            "choose another --workdir; files written before are intact"
        ) from error


def write_text(path: pathlib.Path, text: str) -> None:
    """Replaces the file at `path` by `text`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, value: Any) -> None:
    """Replaces the file at `path` by `value` as JSON that a person can read."""
    write_text(path, _json_text(value, indent="") + "\n")


def _json_text(value: Any, *, indent: str) -> str:
    """Objects one key a line, lists of plain values on one line."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [
            f"{inner}{json.dumps(key)}: {_json_text(item, indent=inner)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        lines = [inner + _json_text(item, indent=inner) for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def _sync_folder(folder: pathlib.Path) -> None:
    # The new name is durable only when the folder that holds it is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
