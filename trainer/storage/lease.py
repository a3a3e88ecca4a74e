"""A lease: a file that says who writes beside it, until it is not renewed any more.

In an object store, and on a disk that machines share without its locks, nothing else
keeps two writers apart.
"""

import itertools
import json
import os
import pathlib
import secrets
import socket
import threading
import time
from typing import Any

from etils import epath

from trainer.storage import files, json_text

FILE = "lease.json"
SETTLING_SECS = 1.0  # in which two that begin at once see who wrote last

_BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id")
_LAST_TIME = 2.0**37  # of a date that can be printed

Found = dict[str, Any]  # what the file says: its "owner", "host", "process", "until"


class TakenError(Exception):
    """The lease is somebody else's, or nobody's."""

    def __init__(self, found: Found) -> None:
        """`found` is what the file says; empty where there is none."""
        super().__init__(f"taken: {found}")
        self.found = found


class Lease:
    """The wish of this process to be the one that writes in a folder."""

    def __init__(self, folder: epath.Path, *, secs: float, hint: str) -> None:
        """Nothing is written yet. After `secs` of silence others may take it over."""
        self.path = folder / FILE
        self._secs = secs
        self._hint = hint
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._is_over = False
        self.owner = secrets.token_hex(8)
        self._record: dict[str, str | int] = {
            "owner": self.owner,
            "host": socket.gethostname(),
            "boot": _boot(),
            "process": os.getpid(),
        }

    def find(self) -> Found | None:
        """Reads the lease; None where there is no file.

        Raises:
          StorageError: it cannot be read, or says something else.
        """
        try:
            with files.wrap_read_errors(self.path, disks_too=True):
                content = files.read(self.path)
            if content is None:
                return None
            found = dict(json_text.parse(content))
            until = float(found["until"])
            if not 0 <= until < _LAST_TIME:
                raise ValueError(f"until = {until}")
            return {**found, "owner": str(found["owner"]), "until": until}
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise files.StorageError(
                f"{self.path} must say who writes there, got something else "
                f"({str(error)[:200]!r}); remove it if nobody does"
            ) from error

    def is_of_this_host(self, found: Found) -> bool:
        """Whether the machine of `found` is this one, and has not started anew."""
        return all(found.get(key) == self._record[key] for key in ("host", "boot"))

    def take(self, *, at_once: bool = False) -> None:
        """Makes the lease this process's own; `at_once` where nobody else may try to.

        Raises:
          TakenError: another one has taken it at the same time.
          StorageError: it cannot be written.
        """
        now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        self._record["since"] = now
        self._write()
        if not at_once:
            time.sleep(SETTLING_SECS)
            self.check()

    def check(self) -> Found:
        """Finds the lease to be its own still; gives what it says.

        Raises:
          TakenError: it is not.
        """
        found = self.find()
        if found is None or found["owner"] != self.owner:
            raise TakenError(found or {})
        return found

    def renew(self) -> None:
        """Tells the others that this process goes on.

        Raises:
          TakenError: it is its own no more.
          StorageError: it cannot be written, or not in time.
        """
        with self._lock:
            if not self._is_over:
                begun = time.monotonic()
                self.check()
                self._write(before=begun + self._secs / 2)

    def give_back(self) -> None:
        """Removes the file where it is its own."""
        with self._lock:
            self._is_over = True
            found = self.find()
            if found and found["owner"] == self.owner:
                with files.wrap_write_errors(self.path):
                    self.path.unlink()

    def _write(self, *, before: float = float("inf")) -> None:
        """Replaces the file, but not after `before`: another one may have it then."""
        text = json.dumps(
            {
                **self._record,
                "number": next(self._numbers),
                "until": time.time() + self._secs,
            }
        )
        with files.atomic_path(self.path, hint=self._hint) as temporary:
            temporary.write_text(text, encoding="utf-8")
            if time.monotonic() > before:
                raise TimeoutError("this process was stopped meanwhile")


def who(found: Found) -> str:
    """The holder in words: "process 123 on trainer-0 since 2026-11-30 08:00:00 UTC"."""
    since = f" since {found['since']}" if "since" in found else ""
    return f"process {found.get('process')} on {found.get('host')}{since}"


def _boot() -> str:
    """Another one on each machine, and after each start of it."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
