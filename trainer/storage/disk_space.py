"""Room on the disk of a folder, and whether it can be written."""

import contextlib
import os
import secrets
import shutil

from etils import epath

from trainer.storage import files


def free_bytes(folder: epath.Path) -> int | None:
    """The room there, or where the folder would be made; None, which no store tells."""
    if files.is_remote(folder):
        return None
    with files.wrap_read_errors(folder):
        made = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(made).free


def try_writing(folder: epath.Path, *, num_bytes: int) -> int | None:
    """Writes and removes a file, and folders that are not there; gives bytes free.

    Raises:
      StorageError: the folder cannot be written.
    """
    # In a store none is made.
    folders = [] if files.is_remote(folder) else [folder, *folder.parents]
    with files.wrap_write_errors(folder):
        made = [each for each in folders if not each.exists()]
    # Of this process alone: all workers may try it at once.
    file = folder / f"write-test-{secrets.token_hex(4)}"
    try:
        with files.atomic_path(file) as temporary:
            temporary.write_bytes(bytes(num_bytes))
        with files.wrap_write_errors(file):
            file.unlink()
        return free_bytes(folder)
    finally:
        for each in made:
            with contextlib.suppress(OSError):
                os.rmdir(each)
