"""Locks of a cache: one process builds it whole, or several build parts of it."""

import contextlib
from collections.abc import Iterator

from etils import epath

from trainer.soft_targets.errors import SoftTargetsError
from trainer.storage import files, locks

_BUILDING = "building"
_DECIDING = "deciding"


@contextlib.contextmanager
def alone(folder: epath.Path) -> Iterator[None]:
    """No other process builds in `folder` in the body; without locks nobody can tell.

    Raises:
      SoftTargetsError: another one does.
      StorageError: the folder cannot be written.
    """
    with _building(folder, is_shared=False):
        yield


@contextlib.contextmanager
def beside_others(folder: epath.Path) -> Iterator[None]:
    """Other processes build but parts of the cache in the body, as this one does.

    Raises:
      SoftTargetsError: another process builds it whole.
      StorageError: the folder cannot be written.
    """
    with _building(folder, is_shared=True):
        yield


@contextlib.contextmanager
def deciding(folder: epath.Path) -> Iterator[None]:
    """No other process that builds a part changes the manifest in the body.

    In a store, which has no locks, a checksum that two write at a time may be lost;
    the next whole build adds it.

    Raises:
      StorageError: the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        if not files.is_remote(folder):
            with contextlib.suppress(locks.NoLocksError):
                stack.enter_context(locks.hold(folder / _DECIDING))
        yield


def _building(
    folder: epath.Path, *, is_shared: bool
) -> contextlib.AbstractContextManager[object]:
    if files.is_remote(folder):
        return contextlib.nullcontext()
    # The builder holds its workdir too, and that hold warns of disks without locks.
    try:
        lock = locks.try_lock(folder / _BUILDING, is_shared=is_shared)
    except locks.NoLocksError:
        return contextlib.nullcontext()
    if lock is None:
        raise SoftTargetsError(
            f"{folder} must be built by one run at a time, got another process that "
            "builds it now; wait for it, with --wait, or choose another "
            "distill.soft_targets_dir"
        )
    return lock
