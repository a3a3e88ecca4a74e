"""Locks that processes hold while they live: they go with them, however they end."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from typing import IO

from etils import epath

from trainer.storage import files

_LOOK_AGAIN_SECS = 0.1
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class NoLocksError(files.StorageError):
    """The disk of a lock has none."""


def try_lock(path: epath.Path, *, is_shared: bool = False) -> IO[bytes] | None:
    """The lock `path`, which closing gives back; None while somebody else has it.

    Any number may have one that `is_shared`, while nobody has it alone.

    Raises:
      NoLocksError: its disk has no locks.
      StorageError: the file cannot be written.
    """
    with files.wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")  # noqa: SIM115 - it is the lock
        try:
            kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        except OSError as error:
            file.close()
            if error.errno not in _NO_LOCKS:
                raise
            raise NoLocksError(
                f"{path} cannot be locked: {error.strerror}; mount its disk with "
                "locks, or choose another --workdir"
            ) from error
    # Whoever had it may have removed the file after it was opened here.
    if os.fstat(file.fileno()).st_nlink:
        return file
    file.close()
    return None


@contextlib.contextmanager
def hold(
    path: epath.Path, *, on_waiting: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Nobody else has the lock `path` in the body; the others are waited for.

    `on_waiting` is called once if there is somebody to wait for.

    Raises:
      StorageError: the file cannot be written.
    """
    file = try_lock(path)
    if file is None:
        on_waiting()
    while file is None:
        time.sleep(_LOOK_AGAIN_SECS)
        file = try_lock(path)
    with file:
        yield
