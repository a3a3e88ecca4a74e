"""How a benchmark's process is told that it is its turn: by files in its folder.

A process that is ready says so with its facts; the file "0" calls it to its first turn,
"1" to the second, and END ends it. What worker R has found lies in "0.R", "1.R", ...
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from etils import epath

from trainer import console, tensorflow_log
from trainer.cluster import termination

READY, END = "ready", "end"  # names of files
LOOK_SECS = 0.02


def run(work: Callable[[list[str]], None]) -> None:
    """Does the `work` of the command line, and ends the process with it."""
    console.prepare()
    with termination.sigterm_blocked(), tensorflow_log.hushed():
        work(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # as trainer/__main__.py does


def serve(
    path: epath.Path, rank: int, facts: Any, take_turn: Callable[[], list[Any]]
) -> None:
    """Tells the facts, then takes a turn at every call until the end."""
    _tell(path, READY, rank, facts)
    turn = 0
    while _is_called(path, turn):
        started = time.process_time()
        found = take_turn()
        cpu_secs = time.process_time() - started
        _tell(path, str(turn), rank, {"found": found, "cpu_secs": cpu_secs})
        turn += 1


def _is_called(path: epath.Path, turn: int) -> bool:
    """Whether there is such a turn, once that is known."""
    while not (path / str(turn)).exists():
        if (path / END).exists():
            return False
        time.sleep(LOOK_SECS)
    return True


def _tell(path: epath.Path, name: str, rank: int, what: Any) -> None:
    partial = path / f"{name}.{rank}.partial"
    partial.write_text(json.dumps(what))
    partial.replace(path / f"{name}.{rank}")
