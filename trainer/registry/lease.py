"""One writer of a model at a time in an object store, which keeps no two apart."""

import contextlib
import datetime
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from etils import epath

from trainer import files, json_text

LEASE = "lease.json"
_SECS = 600  # that a writer may be silent for
_SETTLING_SECS = 1.0  # in which two that begin at once see who wrote last


@contextlib.contextmanager
def held(folder: epath.Path) -> Iterator[Callable[[], None]]:
    """The body alone writes to `folder`; it calls what it gets before each file.

    On a disk there is nothing to hold: what is written there is renamed at once.

    Raises:
      StorageError: another writer holds the lease, or has taken it over since.
    """
    if not files.is_remote(folder):
        yield lambda: None
        return
    path, owner = folder / LEASE, secrets.token_hex(8)
    found = _read(path)
    if found and found["until"] > time.time():
        raise _taken(path, found)
    _write(path, owner)
    time.sleep(_SETTLING_SECS)
    _keep(path, owner)
    try:
        yield lambda: _keep(path, owner)
    finally:
        # What ends the body has a better reason to tell.
        with contextlib.suppress(files.StorageError), files.explained(path):
            if (_read(path) or {}).get("owner") == owner:
                path.unlink()


def _keep(path: epath.Path, owner: str) -> None:
    found = _read(path)
    if not found or found["owner"] != owner:
        raise _taken(path, found or {})
    if found["until"] - time.time() < _SECS / 2:
        _write(path, owner)


def _write(path: epath.Path, owner: str) -> None:
    lease = {
        "owner": owner,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "until": time.time() + _SECS,
    }
    with files.atomic_path(path, way_out="choose another registry.root") as temporary:
        temporary.write_text(json.dumps(lease), encoding="utf-8")


def _read(path: epath.Path) -> dict[str, Any] | None:
    if not files.is_there(path):
        return None
    try:
        with files.reached(path):
            found = dict(json_text.parsed(path.read_bytes()))
        return {**found, "owner": str(found["owner"]), "until": float(found["until"])}
    except (ValueError, TypeError, KeyError) as error:
        raise files.StorageError(
            f"{path} must say who writes there, got something else ({error!r}); "
            "remove it if nobody does"
        ) from error


def _taken(path: epath.Path, found: dict[str, Any]) -> files.StorageError:
    who = f"process {found.get('process')} on {found.get('host')}"
    until = datetime.datetime.fromtimestamp(found.get("until", 0), datetime.UTC)
    return files.StorageError(
        f"{path.parent} must have one writer at a time, got {who}, whose lease holds "
        f"until {until:%Y-%m-%d %H:%M:%S} UTC; wait for it, or remove {path} if it has "
        "ended; nothing was registered"
    )
