"""One process trains in a folder at a time: it holds it, and tells the others.

On one host a lock keeps the others out, which goes with the process. Other hosts may
not see it, and stores have none: for them there is a lease beside it, which a thread
renews as long as the process lives.
"""

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

from etils import epath

from trainer import console
from trainer.cluster.rendezvous import PeerLostError
from trainer.cluster.termination import Termination
from trainer.exit_codes import PEER_LOST
from trainer.storage import files, lease, locks
from trainer.storage.lease import Found, Lease, TakenError, who

LEASE_SECS = 60.0  # that a holder may be silent for
_RENEW_SECS = 10.0
_LOOK_SECS = 1.0
_WRITING_SECS = 2.0  # from a holder's lock to its lease

_LOCK = "training.lock"


class FolderInUseError(files.StorageError):
    """Another process of this host trains in the folder."""


class LeaseLostError(PeerLostError):
    """Another process, maybe of another host, trains in the folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hold:
    """A process's claim on the folder in which it alone trains."""

    # Raises a LostError where another process has taken over.
    check: Callable[[], None] = lambda: None
    gone: frozenset[str] = frozenset()  # holders before it, which are silent for long


FREE = Hold()  # of what does not train


@contextlib.contextmanager
def hold_folder(
    folder: epath.Path, end: Termination, *, within: Hold
) -> Iterator[Hold]:
    """Holds `folder`, a part of `within`: nobody else trains there in the body.

    One that is stopped for so long that another takes over ends when it goes on.

    Raises:
      FolderInUseError: another process of this host does.
      LostError: one of another host does, or has taken over meanwhile.
      StorageError: the folder cannot be written.
    """
    own = _Holder(folder, within.gone)

    def check() -> None:
        within.check()
        own.check()

    with own.give_back_after(), end.leaving(own.give_back):
        own.take()
        with own.keep_renewing(end):
            yield Hold(check=check, gone=frozenset(own.gone))


def is_free(folder: epath.Path) -> bool:
    """Whether nobody holds the folder, or has held it when it was killed."""
    return not files.exists(folder / lease.FILE)


class _Holder:
    def __init__(self, folder: epath.Path, gone: frozenset[str]) -> None:
        self._folder = folder
        self._lease = Lease(folder, secs=LEASE_SECS, hint="choose another --workdir")
        self._has_locks = not files.is_remote(folder)
        self._lock: IO[bytes] | None = None
        self.gone = set(gone)

    def take(self) -> None:
        """Waits for who may be there; see `hold_folder`."""
        self._try_lock()
        while (found := self._other()) is not None:
            if self._lock:
                # A restart on the host of the other one need not wait for this.
                self._lock.close()
                self._lock = None
            self._wait_out(found)
            self._try_lock()
        try:
            self._lease.take(at_once=self._lock is not None)
        except TakenError as error:
            raise self._loss(error.found) from None

    def check(self) -> None:
        try:
            self._lease.check()
        except TakenError as error:
            raise self._loss(error.found) from None

    @contextlib.contextmanager
    def keep_renewing(self, end: Termination) -> Iterator[None]:
        """Renews the lease in a thread, whatever the main thread does in the body."""
        over = threading.Event()
        thread = threading.Thread(
            target=self._renew_until, args=(over, end), name="lease", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_RENEW_SECS)  # it may wait for a store

    def _renew_until(self, over: threading.Event, end: Termination) -> None:
        while not over.wait(_RENEW_SECS):
            try:
                self._lease.renew()
                self._try_lock()
            except TakenError as error:
                end.leave(str(self._loss(error.found)), PEER_LOST)
                return  # the next checkpoint tells it to who goes on
            except files.StorageError:
                continue  # which the next checkpoint tells, or it is mended by then

    @contextlib.contextmanager
    def give_back_after(self) -> Iterator[None]:
        """After the body another process may have it."""
        try:
            yield
        finally:
            # An error that ends the body has a better reason to tell.
            with contextlib.suppress(files.StorageError):
                self.give_back()

    def give_back(self) -> None:
        """Leaves nothing of its own."""
        lock, self._lock = self._lock, None
        with lock or contextlib.nullcontext():
            try:
                self._lease.check()
            except TakenError:
                return  # and so is the file of the lock
            if lock:
                with contextlib.suppress(OSError):
                    os.unlink(self._folder / _LOCK)
            self._lease.give_back()

    def _try_lock(self) -> None:
        """Takes the lock unless it has it; it is with a holder who was silent."""
        if self._lock or not self._has_locks:
            return
        try:
            self._lock = locks.try_lock(self._folder / _LOCK)
        except locks.NoLocksError as error:
            self._has_locks = False
            console.log(
                f"warning: {error}; without them a process that was killed here is "
                f"waited for, for {LEASE_SECS:g} s"
            )

    def _other(self) -> Found | None:
        """The process that may still be writing there, for all that is known here.

        Raises:
          FolderInUseError: it is on this host, and is.
        """
        end = time.monotonic() + _WRITING_SECS
        while True:
            found = self._lease.find()
            is_here = found is not None and self._lease.is_of_this_host(found)
            if self._lock or not self._has_locks or not (is_here or found is None):
                break
            # Who has the lock may be about to write the lease, or to end.
            if is_here or time.monotonic() > end:
                raise self._refusal(found)
            time.sleep(_WRITING_SECS / 20)
            self._try_lock()
        # The lock of a process of this host has gone with it.
        is_gone = self._lock is not None and is_here
        is_gone = is_gone or found is None or found["owner"] in self.gone
        return None if is_gone else found

    def _wait_out(self, found: Found) -> None:
        """Returns once `found` was silent for too long, or has given the lease back.

        Clocks of two hosts differ: what counts is whether the file changes meanwhile.

        Raises:
          LostError: it is renewed, or another process was quicker.
        """
        console.log(
            f"{self._folder} is held by {who(found)}, as far as is known here; this "
            f"process takes over once that was silent for {LEASE_SECS:g} s"
        )
        begun = time.monotonic()
        while True:
            looked = time.monotonic()
            now = self._lease.find()
            if now is None:
                return
            if now != found:
                raise self._loss(now)
            if looked - begun >= LEASE_SECS:
                self.gone.add(found["owner"])
                console.log(f"takes {self._folder} over from {who(found)}")
                return
            time.sleep(_LOOK_SECS)

    def _refusal(self, found: Found | None) -> FolderInUseError:
        by = f" ({who(found)})" if found else ""
        return FolderInUseError(
            f"--workdir must have one process that trains in it, got {self._folder}, "
            f"where another process trains already{by}; wait for it or stop it, or "
            "choose another --workdir"
        )

    def _loss(self, found: Found) -> LeaseLostError:
        by = who(found) if found else f"nobody: {self._lease.path} is gone"
        return LeaseLostError(
            f"--workdir must have one process that trains in it, got {self._folder}, "
            f"which is held by {by}; this process writes nothing more there: stop the "
            "other one, or choose another --workdir"
        )
