"""One process at a time builds a cache."""

import contextlib
from collections.abc import Iterator

from etils import epath

from trainer import files, locks
from trainer.soft_targets.errors import SoftTargetsError

_LOCK = "building"


@contextlib.contextmanager
def alone(folder: epath.Path) -> Iterator[None]:
    """No other process builds in `folder` during the body; a store cannot tell.

    Raises:
      SoftTargetsError: another one does.
      StorageError: the folder cannot be written, or its disk has no locks.
    """
    if files.is_remote(folder):
        yield
        return
    lock = locks.taken(folder / _LOCK)
    if lock is None:
        raise SoftTargetsError(
            f"{folder} must be built by one run at a time, got another process that "
            "builds it now; wait for it, or choose another distill.soft_targets_dir"
        )
    with lock:
        yield
