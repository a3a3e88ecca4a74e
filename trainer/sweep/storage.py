"""Storage of Optuna's trials: a journal in the workdir, or a database."""

import contextlib
import hashlib
import os
import pathlib
import secrets
import traceback
from collections.abc import Iterator
from typing import Any

import optuna
import sqlalchemy
from etils import epath
from optuna.storages import journal

from trainer import console
from trainer.config import ConfigError
from trainer.storage import files, locks

JOURNAL = "sweep.journal"

_LONGEST_LINE = 1 << 20  # bytes that the journal has between two ends of lines

_LOST = (
    *(OSError, ImportError),
    *(optuna.exceptions.OptunaError, sqlalchemy.exc.SQLAlchemyError),
)
# What Optuna's storages raise besides: of a journal's lines that are no JSON, or JSON
# of something else, of a study that was deleted, and of a schema of another release.
_DAMAGED = (ValueError, KeyError, AssertionError, RuntimeError)
_STORAGES = str(pathlib.Path(optuna.storages.__file__).parent)


class _Lock:
    """A lock of the journal; Optuna's own locks outlive a killed process."""

    def __init__(self, file: epath.Path) -> None:
        self._file = file
        self._stack = contextlib.ExitStack()

    def acquire(self) -> bool:
        """Waits for the others.

        Raises:
          OSError: the journal is gone, of which Optuna would begin another.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(locks.hold(self._file.with_name(f"{JOURNAL}.lock")))
            _cut_to_lines(self._file)
            self._stack = stack.pop_all()
        return True

    def release(self) -> None:
        """Lets the next one append."""
        self._stack.close()


@contextlib.contextmanager
def wrap_storage_errors(url: str, path: epath.Path) -> Iterator[None]:
    """Turns what goes wrong in the storage into a sentence for the user.

    Raises:
      StorageError: the storage cannot be used.
    """
    try:
        yield
    except (ConfigError, files.StorageError):
        raise
    except (*_LOST, *_DAMAGED) as error:
        if not _is_of_storage(error):
            raise
        raise files.StorageError(
            f"{_title(url, path)} cannot be used: {_problem(error)}; see that it is "
            "there, writable and not locked, and start the same command again: "
            "trials that ended are kept"
        ) from error


def open_storage(url: str, path: epath.Path, *, begun: bool) -> Any:
    """The storage of the sweep in the workdir `path`, which may be `begun` in it.

    Raises:
      ConfigError: it was begun, and its journal is gone.
      StorageError: the storage cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with wrap_storage_errors(url, path):
        if url:
            return optuna.storages.RDBStorage(url)
        file = path / JOURNAL
        if begun and not file.exists():
            raise gone_error(url, path)
        backend = journal.JournalFileBackend(str(file), lock_obj=_Lock(file))
        return journal.JournalStorage(backend)


def read_journal(path: epath.Path) -> dict[str, Any] | None:
    """The whole lines of the journal in the workdir `path`; None where there is none.

    Their number of bytes, and their checksum.
    """
    if not (path / JOURNAL).exists():
        return None
    lines = (path / JOURNAL).read_bytes().rpartition(b"\n")
    content = lines[0] + lines[1]
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def check(path: epath.Path, before: dict[str, Any] | None) -> None:
    """Finds the journal to begin with what was `written` before, if it is there.

    Raises:
      StorageError: it was cut or changed since.
    """
    file = path / JOURNAL
    if not before or not file.exists():
        return
    content = file.read_bytes()[: before["bytes"]]
    if hashlib.sha256(content).hexdigest() != before["sha256"]:
        raise files.StorageError(
            f"the journal {file} must begin with the {before['bytes']} bytes that it "
            f"had when trials were last written down, got {len(content)} bytes"
            f"{' of other content' if len(content) == before['bytes'] else ''}: it was "
            "cut or damaged; bring it back from a copy, or sweep in another --workdir"
        )


def new_study(storage: Any, name: str, *, is_maximized: bool) -> str:
    """Begins a study in `storage`; its name is of no other sweep."""
    name = f"{name}-{secrets.token_hex(4)}"
    direction = "maximize" if is_maximized else "minimize"
    optuna.create_study(storage=storage, study_name=name, direction=direction)
    return name


def gone_error(url: str, path: epath.Path) -> ConfigError:
    """Says that the storage does not hold the sweep that was begun in `path`."""
    return ConfigError(
        f"{_title(url, path)} must hold the trials of the sweep that {path} began, got "
        "a storage without them; bring it back or set sweep.storage to where they "
        "are, or choose another --workdir"
    )


def _cut_to_lines(file: epath.Path) -> None:
    """Removes half a line from the end, as a full disk leaves one."""
    with open(file, "rb+") as lines:
        end = lines.seek(0, os.SEEK_END)
        lines.seek(max(end - _LONGEST_LINE, 0))
        half = lines.read().rpartition(b"\n")[2]
        if half:
            lines.truncate(end - len(half))
            console.log(
                f"{file} ended in half a line, as a kill or a full disk leaves one: "
                f"its {len(half)} bytes were removed, and what they told is done again"
            )


def _title(url: str, path: epath.Path) -> str:
    if not url:
        return f"the journal {path / JOURNAL}"
    with contextlib.suppress(sqlalchemy.exc.ArgumentError):
        # Without its password.
        url = sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    return f"sweep.storage {url}"


def _is_of_storage(error: Exception) -> bool:
    """Whether a storage raised the error, and not what asks it."""
    return isinstance(error, _LOST) or any(
        frame.f_code.co_filename.startswith(_STORAGES)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def _problem(error: BaseException) -> str:
    """The message of the database or the disk, without Optuna's own around it."""
    cause = error.__cause__ or error
    said = getattr(cause, "orig", None) or getattr(cause, "strerror", None) or cause
    return str(said).splitlines()[0] if str(said) else type(error).__name__
