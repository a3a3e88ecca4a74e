"""Groups of workers that take turns on this machine, which others use too.

All groups stay alive, and those whose turn it is not wait without work. So contenders
alternate within seconds, and what others do to one they mostly do to the other.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks.calls import END, LOOK_SECS, READY

_MEMBER = "tests.benchmarks.member"
_QUIET_SECS = 1.0
_MOST_OTHERS = 0.1  # of all cores, in what counts as a quiet moment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """What a group found in one turn."""

    found: list[dict[str, float]]  # by the chief
    others: float  # the share of all cores that other programs took meanwhile


class Group:
    """The workers of one cluster, started by `python -m launch local`."""

    def __init__(
        self,
        num_workers: int,
        folder: pathlib.Path,
        arguments: Sequence[str],
        member: str = _MEMBER,
    ) -> None:
        """Starts them; `arguments` go to the module `member`."""
        self.num_workers = num_workers
        self.folder = folder
        self._num_turns = 0
        launched_at = time.time()
        command = [
            *(sys.executable, "-m", "launch", "local", f"--workers={num_workers}"),
            *("--", "python", "-m", member),
            *(f"--workdir={folder}", *arguments),
        ]
        self.process = subprocess.Popen(command, stdout=sys.stderr)
        self.facts: list[dict[str, Any]] = self._told(READY)[0]
        for facts in self.facts:
            if "first_step_at" in facts:
                secs = facts["first_step_at"] - launched_at
                print(f"first step after {secs:.1f} s", file=sys.stderr, flush=True)

    def take_turn(self) -> Turn:
        """The group works, and nobody else should."""
        name = str(self._num_turns)
        self._num_turns += 1
        started, before = time.monotonic(), _busy_secs()
        (self.folder / name).touch()
        told = self._told(name)
        cores_secs = (time.monotonic() - started) * (os.cpu_count() or 1)
        own_secs = sum(worker["cpu_secs"] for worker in told)
        return Turn(
            found=told[0]["found"],
            others=max(0.0, _busy_secs() - before - own_secs) / cores_secs,
        )

    def _told(self, name: str) -> list[Any]:
        """What all workers wrote under a name, once they have."""
        paths = [self.folder / f"{name}.{rank}" for rank in range(self.num_workers)]
        while not all(path.exists() for path in paths):
            if self.process.poll() is not None:
                raise ChildProcessError(f"{self.num_workers} workers ended too early")
            time.sleep(LOOK_SECS)
        return [json.loads(path.read_text()) for path in paths]


@contextlib.contextmanager
def started(
    num_workers: int, arguments: Sequence[str], member: str = _MEMBER
) -> Iterator[Group]:
    """A group that is ready, and ends with the body."""
    with tempfile.TemporaryDirectory(prefix="alambic-") as name:
        folder = pathlib.Path(name)
        group = Group(num_workers, folder, arguments, member)
        try:
            yield group
        finally:
            (folder / END).touch()
            group.process.wait()


def alternated(
    groups: Sequence[Group], *, rounds: int, patience_secs: float
) -> list[tuple[Turn, ...]]:
    """The turns of all groups in that many rounds, those that others disturbed least.

    Waits for quiet moments, and repeats rounds that were none, while there is patience.
    """
    end = time.monotonic() + patience_secs
    found: list[tuple[Turn, ...]] = []
    while len(found) < rounds or (
        _disturbance(found[rounds - 1]) > _MOST_OTHERS and time.monotonic() < end
    ):
        while _others_alone() > _MOST_OTHERS and time.monotonic() < end:
            pass
        found.append(tuple(group.take_turn() for group in groups))
        told = [(turn.found, f"{turn.others:.0%}") for turn in found[-1]]
        print(f"round {len(found)}: {told}", file=sys.stderr, flush=True)
        found.sort(key=_disturbance)
    return found[:rounds]


def _disturbance(turns: tuple[Turn, ...]) -> float:
    return max(turn.others for turn in turns)


def _others_alone() -> float:
    """The share of all cores that other programs take when nobody here has a turn."""
    before = _busy_secs()
    time.sleep(_QUIET_SECS)
    return (_busy_secs() - before) / _QUIET_SECS / (os.cpu_count() or 1)


def _busy_secs() -> float:
    """Seconds that cores worked for programs, since the machine started.

    Interrupts are left out: those of a group's own messages are in no one's account.
    """
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, _, _, steal, *_ = map(
            int, file.readline().split()[1:]
        )
    return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")
