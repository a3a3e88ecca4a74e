"""Requeues of a Slurm job in a row after which its workdir held nothing new."""

import dataclasses
import json
import os
from typing import Any

from etils import epath

# Of the trainer: what a start found there, checkpoints, models and shards among it.
_ATTEMPTS = "attempts.json"
_FILE = "requeues.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Requeues:
    """The count of one job, kept in the workdir, which all of its starts share."""

    workdir: epath.Path
    job: str  # its number: another job begins anew

    def add(self) -> int:
        """Counts a requeue to come; returns how many are in a row for nothing.

        The first after each new checkpoint is number 1. Restarts that Slurm or a
        person causes are not among them.

        Raises:
          OSError: the file cannot be written.
        """
        before = _read(self.workdir / _FILE)
        if before.get("job") != self.job:
            before = {}
        # Without the file the trainer has given up, or has not come so far.
        kept = _read(self.workdir / _ATTEMPTS).get("kept", before.get("kept"))
        count = 1
        if kept == before.get("kept"):
            count += _whole(before.get("count"))
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._write({"job": self.job, "count": count, "kept": kept})
        return count

    def forget(self) -> None:
        """The job has ended for good.

        Raises:
          OSError: the file cannot be removed.
        """
        (self.workdir / _FILE).unlink(missing_ok=True)

    def _write(self, value: dict[str, Any]) -> None:
        # A start that is killed here leaves the old file or the new one.
        written = self.workdir / f".{_FILE}.{self.job}"
        written.write_text(json.dumps(value))
        written.replace(self.workdir / _FILE)


def of(folder: str, job: str) -> Requeues:
    """The count of `job` in the workdir as it stands on the command line."""
    return Requeues(workdir=epath.Path(os.path.expanduser(folder)), job=job)


def _read(path: epath.Path) -> dict[str, Any]:
    """The JSON object in a file; {} where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
