"""The memory of what was sent from a workdir, in its tracking.json."""

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any

from etils import epath

from trainer.storage import files, seal

_FILE = "tracking.json"


@dataclasses.dataclass
class SentRun:
    """The part of one run that its tracker has."""

    key: str
    is_begun: bool = False
    step: int = -1  # of the last line
    files: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    summary: str = ""  # a checksum of its last numbers
    is_over: bool = False

    @classmethod
    def new(cls) -> "SentRun":
        """A run that no tracker has."""
        return cls(key=secrets.token_hex(16))

    def forget(self) -> None:
        """Begins anew under the same key: the tracker has lost it."""
        self.step, self.files, self.summary, self.is_over = -1, {}, "", False


class Sent:
    """The runs of a workdir that trackers have, of which one tracker is written to."""

    def __init__(self, path: epath.Path, destination: Mapping[str, Any]) -> None:
        """Reads what is kept in the workdir `path`.

        Raises:
          StorageError: the file is damaged.
        """
        self._path = path / _FILE
        self._kept = _read(self._path)
        to = dict(destination)
        if not any(each["to"] == to for each in self._kept):
            self._kept.append({"to": to, "runs": {}})
        [self._own] = [each for each in self._kept if each["to"] == to]

    def run(self, folder: str) -> SentRun:
        """The run in a folder of the workdir, new or known."""
        known = self._own["runs"].get(folder)
        return SentRun(**known) if known else SentRun.new()

    def write(self, folder: str, run: SentRun) -> None:
        """Keeps what is sent of a run.

        Raises:
          StorageError: the workdir cannot be written.
        """
        self._own["runs"][folder] = dataclasses.asdict(run)
        told = seal.add_checksum({"trackers": self._kept})
        files.write_json(self._path, told)


def _read(path: epath.Path) -> list[dict[str, Any]]:
    content = files.read(path)
    if content is None:
        return []
    try:
        kept = list(seal.parse(content)["trackers"])
        for each in kept:
            dict(each["to"])
            for run in each["runs"].values():
                SentRun(**run)
        return kept
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise files.StorageError(
            f"{path} must tell what was sent to trackers, got something else "
            f"({error!r}); put it back, or delete it to send all anew"
        ) from error
