"""Sending what a tracker does not have yet of a workdir: now, or in a later process."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator

from etils import epath

from trainer.config import Config, resolve
from trainer.storage import files, locks, seal
from trainer.storage.workdir import REPORT
from trainer.tracking.found_runs import FoundRun, find_runs
from trainer.tracking.sent import Sent, SentRun
from trainer.tracking.tracker import (
    Line,
    Opening,
    TrackedRun,
    Tracker,
    TrackingError,
)

_LOCK = "tracking.lock"


@dataclasses.dataclass
class Counts:
    """The numbers of what was sent."""

    runs: int = 0
    lines: int = 0
    files: int = 0


class Sender:
    """Sends from one workdir to one tracker, which is opened once it is needed."""

    def __init__(self, config: Config, path: epath.Path, opening: Opening) -> None:
        self._config = config
        self._path = path
        self._opening = opening
        self._tracker: Tracker | None = None
        self._begun: set[str] = set()  # keys of the runs that it has open
        self._settled: dict[str, list[float]] = {}  # cells, by their pages
        self.answered_at = time.monotonic()  # when it last took something

    def send(self) -> Counts:
        """Sends all that is new; nothing while another process sends from there.

        Raises:
          TrackingError: the tracker does not take it; what it took is kept in mind.
          StorageError, ReportError, ConfigError: the workdir cannot be read.
        """
        counts = Counts()
        with _sending_alone(self._path) as is_alone:
            if is_alone:
                settings = resolve(self._config)["tracking"]
                to = {name: settings[name] for name in ("tracker", "options")}
                self._send_all(Sent(self._path, to), counts)
        return counts

    def _send_all(self, sent: Sent, counts: Counts) -> None:
        cells: dict[str, bool] = {}  # whether all of them is over
        for run in find_runs(self._path, self._config, is_settled=self._is_settled):
            self._send_run(run, sent, counts)
            folder = "/".join(run.folder.split("/")[:2])
            cells[folder] = cells.get(folder, True) and run.is_over
        for folder, is_over in cells.items():
            page = self._path / folder / REPORT
            if is_over and files.exists(page):
                self._settled[folder] = _signature(page)

    def _is_settled(self, folder: str) -> bool:
        """Whether this process has sent all of a cell, whose page is drawn last."""
        known = self._settled.get(folder)
        page = self._path / folder / REPORT
        return known is not None and files.exists(page) and known == _signature(page)

    def _send_run(self, found: FoundRun, sent: Sent, counts: Counts) -> None:
        state = sent.run(found.folder)
        if found.is_training and state.is_over and not found.is_over:
            state = SentRun.new()  # it was deleted, and has begun anew
        if not _is_new(found, state):
            return
        parent = found.parent
        run = TrackedRun(
            key=state.key,
            name=found.name,
            parent="" if parent is None else sent.run(parent).key,
            settings=found.settings(),
            is_chosen=found.is_chosen,
        )
        # First: a run that is killed here is found again by its key.
        sent.write(found.folder, state)
        with self._asking() as tracker:
            if state.key not in self._begun:
                known = tracker.begin(run)
                if known < state.step:
                    state.forget()
                state.step, state.is_begun = max(state.step, known), True
                self._begun.add(state.key)
            counts.lines += _send_numbers(tracker, run, found, state)
        sent.write(found.folder, state)
        for name, path in found.files.items():
            if state.files.get(name) != (signature := _signature(path)):
                with self._asking() as tracker, files.local_copy(path) as local:
                    tracker.keep(run, local, name.rpartition("/")[0])
                counts.files += 1
                state.files[name] = signature
                sent.write(found.folder, state)
        if found.is_over:
            with self._asking() as tracker:
                tracker.end(run, failed=found.has_failed)
            self._begun.discard(state.key)
            state.is_over = True
            sent.write(found.folder, state)
        counts.runs += 1

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Tracker]:
        """The tracker, whose errors are told as such."""
        try:
            if self._tracker is None:
                self._tracker = self._opening()
            yield self._tracker
        except files.StorageError:
            raise
        except Exception as error:
            self._begun.clear()
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TrackingError(f"{type(error).__name__}: {reason}") from error
        self.answered_at = time.monotonic()


def _send_numbers(
    tracker: Tracker, run: TrackedRun, found: FoundRun, state: SentRun
) -> int:
    """Sends the lines that the tracker lacks, and how many they were."""
    lines = _later_lines(found, state)
    if _summary_checksum(found) != state.summary:
        last = lines[-1][0] if lines else state.step
        lines.append((last + 1, found.summary))
    if lines:
        tracker.log(run, lines)
        state.step = lines[-1][0]
    state.summary = _summary_checksum(found)
    return len(lines)


def _is_new(found: FoundRun, state: SentRun) -> bool:
    """Whether the tracker lacks anything of a run."""
    return (
        not state.is_begun
        or state.is_over < found.is_over
        or state.summary != _summary_checksum(found)
        or any(state.files.get(x) != _signature(p) for x, p in found.files.items())
        or bool(_later_lines(found, state))
    )


def _later_lines(found: FoundRun, state: SentRun) -> list[Line]:
    """The lines after the last that was sent; what is over has none."""
    if state.is_over:
        return []
    return [line for line in found.lines() if line[0] > state.step]


def _summary_checksum(found: FoundRun) -> str:
    return seal.checksum(dict(found.summary)) if found.summary else ""


def _signature(path: epath.Path) -> list[float]:
    """The size and the time of a file, by which a new content is known."""
    if files.is_remote(path):
        told = path.stat()
        return [told.length, told.mtime]
    plain = os.stat(path)
    return [plain.st_size, plain.st_mtime_ns]


@contextlib.contextmanager
def _sending_alone(path: epath.Path) -> Iterator[bool]:
    """Whether no other process sends from the workdir while the body does.

    A store has one writer anyway, and so has a disk without locks.
    """
    if files.is_remote(path):
        yield True
        return
    try:
        lock = locks.try_lock(path / _LOCK)
    except locks.NoLocksError:
        yield True
        return
    with contextlib.nullcontext() if lock is None else lock:
        yield lock is not None
