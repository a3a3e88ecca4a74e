"""One process at a time builds a cache."""

import contextlib
from collections.abc import Iterator

from etils import epath

from trainer.soft_targets.errors import SoftTargetsError
from trainer.storage import files, locks

_LOCK = "building"


@contextlib.contextmanager
def alone(folder: epath.Path) -> Iterator[None]:
    """No other process builds in `folder` in the body; without locks nobody can tell.

    Raises:
      SoftTargetsError: another one does.
      StorageError: the folder cannot be written.
    """
    lock: contextlib.AbstractContextManager[object] | None = contextlib.nullcontext()
    if not files.is_remote(folder):
        # The builder holds its workdir too, and that hold warns of disks without locks.
        with contextlib.suppress(locks.NoLocksError):
            lock = locks.try_lock(folder / _LOCK)
    if lock is None:
        raise SoftTargetsError(
            f"{folder} must be built by one run at a time, got another process that "
            "builds it now; wait for it, or choose another distill.soft_targets_dir"
        )
    with lock:
        yield
