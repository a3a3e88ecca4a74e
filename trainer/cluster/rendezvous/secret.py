"""The secret that the workers of a run share, by which they know each other.

It lies in the workdir, where the chief makes it once. A file that the user names in its
place, such as a mounted Secret of Kubernetes, is only read.
"""

import contextlib
import os
import pathlib
import secrets
import stat

from etils import epath

from trainer.cluster import tf_config
from trainer.storage import files

FILE = "rendezvous.token"

_LEAST_BYTES, _MOST_BYTES = 16, 4096
_GROUP_MAY_READ = 0o640


class SecretError(Exception):
    """The secret cannot be read, or not yet; the message says where and why."""


class AbsentError(SecretError):
    """There is no secret yet."""


class Secret:
    """The file that holds it."""

    def __init__(self, path: epath.Path, *, is_given: bool) -> None:
        """A file that `is_given` by the user is never written."""
        self.path = path
        self._is_given = is_given

    @classmethod
    def of_workdir(cls, workdir: epath.Path) -> "Secret":
        """The secret of the run in `workdir`.

        Raises:
          StorageError: the user names one in a store that cannot be reached from here.
        """
        given = tf_config.token_file()
        if given:
            path = files.path_of(given, setting=tf_config.TOKEN_FILE)
            return cls(path, is_given=True)
        return cls(workdir / FILE, is_given=False)

    def read(self) -> bytes:
        """Reads the secret in the file.

        Raises:
          AbsentError: the chief has not made it yet.
          SecretError: it cannot be read, or holds no secret.
        """
        try:
            with files.wrap_read_errors(self.path, disks_too=True):
                if not self._is_given and not self._is_there():
                    raise AbsentError(
                        f"the secret {self.path}, which the chief makes, is not there"
                    )
                with files.open_for_reading(self.path) as file:
                    found = file.read(_MOST_BYTES + 1).strip()
        except files.StorageError as error:
            raise SecretError(
                f"the secret {error}; or name one that every worker may read in "
                f"{tf_config.TOKEN_FILE}"
            ) from error
        if not _LEAST_BYTES <= len(found) <= _MOST_BYTES:
            raise SecretError(
                f"the secret {self.path} must have from {_LEAST_BYTES} to "
                f"{_MOST_BYTES} bytes, got {len(found)}; "
                + ("write one" if self._is_given else "remove it to have one made")
            )
        return found

    def read_or_create(self) -> bytes:
        """The secret in the file, which the chief writes unless there is one.

        Raises:
          StorageError: it can neither be read nor written.
        """
        with files.wrap_read_errors(self.path, disks_too=True):
            has_to_be_made = not self._is_given and not self._is_there()
        if has_to_be_made:
            self._make()
        try:
            return self.read()
        except SecretError as error:
            raise files.StorageError(str(error)) from error

    def _is_there(self) -> bool:
        if files.is_remote(self.path):
            return bool(self.path.exists())
        # Not exists, which also says no of what is in a folder that is closed to it.
        with contextlib.suppress(FileNotFoundError):
            os.stat(self.path)
            return True
        return False

    def _make(self) -> None:
        text = secrets.token_hex(32) + "\n"
        if files.is_remote(self.path):
            files.write_text(self.path, text)
            return
        with files.wrap_write_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _create(pathlib.Path(self.path), text)


def _create(path: pathlib.Path, text: str) -> None:
    """Writes a file that is complete or absent, and stays as it is if it is there."""
    temporary = path.with_name(f".writing-{path.name}-{secrets.token_hex(4)}")
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _share(temporary, with_readers_of=path.parent)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # what another host made may have been hidden from this one
        except OSError:  # a disk without such links
            os.replace(temporary, path)
        files.sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _share(file: pathlib.Path, *, with_readers_of: pathlib.Path) -> None:
    """Lets the group of a folder read `file`, if it may read the folder."""
    folder = with_readers_of.stat()
    if folder.st_mode & stat.S_IRGRP:
        # Not where the process is not of the group: then it may not give it the file.
        with contextlib.suppress(OSError):
            os.chown(file, -1, folder.st_gid)
            file.chmod(_GROUP_MAY_READ)
