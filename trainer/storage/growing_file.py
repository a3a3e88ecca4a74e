"""A file that grows while it is written: on a disk at once, in a store in blocks."""

import time
from collections.abc import Callable

from etils import epath

from trainer.storage import files

BLOCK_SECS = 30.0  # that a store may be behind, which replaces the whole file


class GrowingFile:
    """The end of a file that this process alone writes."""

    def __init__(
        self,
        path: epath.Path,
        content: bytes,
        *,
        durable: bool,
        check_held: Callable[[], None] = lambda: None,
    ) -> None:
        """The file begins with `content`, in place of what was there.

        On a disk what is added is safe from a loss of power at once if it is `durable`.
        Nothing is written when `check_held`, which is asked before, raises.

        Raises:
          StorageError: the folder cannot be written.
        """
        self._path = path
        self._durable = durable
        self._check_held = check_held
        self._is_remote = files.is_remote(path)
        self._content = bytearray(content)
        self._is_written = False
        self._written_at = time.monotonic()
        if not self._is_remote:
            self._replace()

    def append(self, data: bytes) -> None:
        """Adds `data` to the end.

        Raises:
          StorageError: the disk is full.
        """
        if not self._is_remote:
            self._check_held()
            files.append(self._path, data, durable=self._durable)
            return
        self._content += data
        self._is_written = False
        if time.monotonic() - self._written_at > BLOCK_SECS:
            self.flush()

    def flush(self) -> None:
        """Writes what a store does not have yet.

        Raises:
          StorageError: the store cannot be written.
        """
        if not self._is_written:
            self._check_held()
            self._replace()

    def _replace(self) -> None:
        with files.atomic_path(self._path) as temporary:
            temporary.write_bytes(self._content)
        self._is_written = True
        self._written_at = time.monotonic()
