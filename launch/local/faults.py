"""Faults that a test asks for: a signal to one worker, at a step or after a time."""

import dataclasses
import re
import signal
from collections.abc import Iterable

from launch.errors import LaunchError

_SIGNALS = {
    "kill": signal.SIGKILL,
    "term": signal.SIGTERM,
    "stop": signal.SIGSTOP,
}
_FORM = re.compile(rf"({'|'.join(_SIGNALS)}):worker:(\d+)@(step|secs)=(\d+)")
_STEP = re.compile(r": step (\d+)/\d+")


@dataclasses.dataclass(frozen=True)
class Fault:
    """One signal to one worker."""

    text: str
    signal_number: signal.Signals
    worker: int
    unit: str  # "step", or "secs" since the group was started
    threshold: int


def parse(text: str, *, num_workers: int) -> Fault:
    """The fault that a value of --fault describes.

    Raises:
      LaunchError: the form is not met, or there is no such worker.
    """
    match = _FORM.fullmatch(text)
    if not match:
        raise LaunchError(
            "--fault must be KIND:worker:INDEX@step=N or KIND:worker:INDEX@secs=N "
            f"with KIND one of {', '.join(_SIGNALS)}, got {text!r}; for instance "
            "kill:worker:1@step=20"
        )
    kind, worker, unit, threshold = match.groups()
    if int(worker) >= num_workers:
        raise LaunchError(
            f"--fault must name a worker from 0 to {num_workers - 1}, got {text!r}; "
            "or start more by --workers"
        )
    return Fault(text, _SIGNALS[kind], int(worker), unit, int(threshold))


class Faults:
    """The faults of a job that have not happened yet; each happens once."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._to_come = list(faults)

    @property
    def to_come(self) -> tuple[Fault, ...]:
        """The faults that have not happened yet."""
        return tuple(self._to_come)

    def next_secs(self) -> int | None:
        """The seconds after which the earliest timed fault is due; None without any."""
        times = [fault.threshold for fault in self._to_come if fault.unit == "secs"]
        return min(times, default=None)

    def take_after(self, secs: float) -> list[Fault]:
        """Takes out what is due that long after the group was started."""
        return self._take("secs", secs)

    def take_at(self, line: str) -> list[Fault]:
        """Takes out what is due at the step that a line of any worker tells, if any."""
        match = _STEP.search(line)
        return self._take("step", int(match[1])) if match else []

    def _take(self, unit: str, value: float) -> list[Fault]:
        due = [f for f in self._to_come if f.unit == unit and f.threshold <= value]
        self._to_come = [fault for fault in self._to_come if fault not in due]
        return due
