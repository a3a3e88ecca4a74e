"""A contender that is ready for its turns."""

import dataclasses
import os
import pathlib
import re
import time
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ready:
    """What a contender told of itself, and what it does in a turn."""

    facts: dict[str, Any]
    turn: Callable[[], dict[str, float]]  # "secs" of one step, and what else it found


def repeated(
    run: Callable[[int], object], *, turn_secs: float, agreed: Callable = int
) -> Callable[[], dict[str, float]]:
    """Turns of about `turn_secs` of a `run` that takes as many steps as it is told.

    It must have taken its first step. `agreed` makes of the number of steps the one
    that all workers take.
    """
    # Twice: the first steps still start threads and fill buffers.
    count = 1
    for _ in range(2):
        count = agreed(max(1, round(turn_secs / _secs_of_step(run, count))))

    def turn() -> dict[str, float]:
        return {"secs": _secs_of_step(run, count)}

    return turn


def process_secs() -> float:
    """Since this process began, its imports included."""
    ticks = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    began = int(ticks) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began


def peak_bytes() -> int:
    """The most memory this process has had resident, as Linux counts it."""
    return _status("VmHWM")


def resident_bytes() -> int:
    """The memory this process has resident now."""
    return _status("VmRSS")


def _status(name: str) -> int:
    status = pathlib.Path("/proc/self/status").read_text()
    found = re.search(rf"^{name}:\s*(\d+) kB", status, flags=re.M)
    if not found:
        raise OSError(f"/proc/self/status must have a line {name}, got none")
    return 1024 * int(found[1])


def _secs_of_step(run: Callable[[int], object], num_steps: int) -> float:
    started = time.perf_counter()
    run(num_steps)
    return (time.perf_counter() - started) / num_steps
