"""One writer of a model at a time in an object store, which keeps no two apart."""

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator

from etils import epath

from trainer.storage import files
from trainer.storage.lease import Found, Lease, TakenError, who

_SECS = 600  # that a writer may be silent for


@contextlib.contextmanager
def hold(folder: epath.Path) -> Iterator[Callable[[], None]]:
    """The body alone writes to `folder`; it calls what it gets before each file.

    On a disk there is nothing to hold: what is written there is renamed at once.

    Raises:
      StorageError: another writer holds the lease, or has taken it over since.
    """
    if not files.is_remote(folder):
        yield lambda: None
        return
    own = Lease(folder, secs=_SECS, hint="choose another registry.root")

    def keep() -> None:
        try:
            if own.check()["until"] - time.time() < _SECS / 2:
                own.renew()
        except TakenError as error:
            raise _taken_error(own, error.found) from None

    found = own.find()
    if found and found["until"] > time.time():
        raise _taken_error(own, found)
    try:
        own.take()
    except TakenError as error:
        raise _taken_error(own, error.found) from None
    try:
        yield keep
    finally:
        # What ends the body has a better reason to tell.
        with contextlib.suppress(files.StorageError):
            own.give_back()


def _taken_error(own: Lease, found: Found) -> files.StorageError:
    until = datetime.datetime.fromtimestamp(found.get("until", 0), datetime.UTC)
    return files.StorageError(
        f"{own.path.parent} must have one writer at a time, got {who(found)}, whose "
        f"lease holds until {until:%Y-%m-%d %H:%M:%S} UTC; wait for it, or remove "
        f"{own.path} if it has ended; nothing was registered"
    )
