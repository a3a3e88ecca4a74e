"""A new version: written aside, and there at once under a number of its own.

On a disk, also one that machines share, the rename of a whole folder to its number is
both: it fails where another writer has taken the number, and the next one is tried. In
a store the files are written one by one under a lease, the card last.
"""

import contextlib
import errno
import fcntl
import functools
import os
import pathlib
import secrets
import shutil
from collections.abc import Callable, Iterator

from etils import epath

from trainer.registry import card, version_lease
from trainer.registry.card import Card
from trainer.registry.versions import numbers
from trainer.storage import files, folders

_WAY_OUT = "choose another registry.root"
_SAVED_MODEL = "saved_model.pb"

# Copies a local folder, and a card that still lacks its version, files and sizes, into
# the registry; gives the version.
Publish = Callable[[pathlib.Path, Card], int]


@contextlib.contextmanager
def publishing(root: epath.Path, name: str) -> Iterator[Publish]:
    """Yields what makes a folder the next version of the model `name`.

    Raises:
      StorageError: the registry cannot be written, or another writer is at work in a
        store; already before the body, which may take long.
    """
    folder = root / name
    with _in_store(folder) if files.is_remote(folder) else _on_disk(folder) as publish:
        yield publish


@contextlib.contextmanager
def _on_disk(folder: epath.Path) -> Iterator[Publish]:
    staging = pathlib.Path(folder) / f".writing-{secrets.token_hex(4)}"
    lock = staging.with_name(f"{staging.name}.lock")
    with contextlib.ExitStack() as stack:
        with files.wrap_write_errors(folder, hint=_WAY_OUT):
            folder.mkdir(parents=True, exist_ok=True)
            _remove_left(pathlib.Path(folder))
            file = stack.enter_context(open(lock, "wb"))
            stack.callback(lock.unlink, missing_ok=True)
            # It goes with the process, however that ends.
            fcntl.flock(file, fcntl.LOCK_EX)
            stack.callback(shutil.rmtree, staging, ignore_errors=True)
            staging.mkdir()
        yield functools.partial(_rename, staging / "version")


def _remove_left(folder: pathlib.Path) -> None:
    """Removes what writers have left that were killed."""
    for lock in folder.glob(".writing-*.lock"):
        with contextlib.suppress(OSError), open(lock, "rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()


def _rename(staging: pathlib.Path, source: pathlib.Path, own: Card) -> int:
    folder = staging.parent.parent
    with files.wrap_write_errors(folder, hint=_WAY_OUT):
        folders.copy(source, staging)
        while True:
            number = _next(epath.Path(folder))
            for name, text in _card_texts(source, own, number).items():
                (staging / name).write_text(text, encoding="utf-8")
            folders.sync(staging)
            try:
                os.rename(staging, folder / str(number))
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                continue  # another writer has taken it
            files.sync_folder(folder)
            return number


@contextlib.contextmanager
def _in_store(folder: epath.Path) -> Iterator[Publish]:
    with version_lease.hold(folder) as keep:
        yield functools.partial(_upload, folder, keep)


def _upload(
    folder: epath.Path, keep: Callable[[], None], source: pathlib.Path, own: Card
) -> int:
    number = _next(folder)
    target = folder / str(number)
    with files.wrap_write_errors(target, hint=_WAY_OUT):
        # TensorFlow Serving takes the version for complete once it finds this file.
        paths = sorted(_names(source), key=lambda name: name == _SAVED_MODEL)
        for path in paths:
            keep()
            folders.upload(source, target, [path])
        texts = _card_texts(source, own, number)
        for name in (card.PAGE, card.CARD):
            keep()
            (target / name).write_text(texts[name], encoding="utf-8")
    return number


def _card_texts(source: pathlib.Path, own: Card, number: int) -> dict[str, str]:
    names = _names(source)
    return card.texts(
        {
            **own,
            "version": number,
            "sizes": {name: (source / name).stat().st_size for name in names},
            "files": {
                name: folders.checksum(epath.Path(source / name)) for name in names
            },
        }
    )


def _names(source: pathlib.Path) -> list[str]:
    return folders.names(epath.Path(source))


def _next(folder: epath.Path) -> int:
    # Those without a card count: what a killed writer left is not written over.
    return max(numbers(folder), default=0) + 1
