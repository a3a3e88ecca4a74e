"""One worker of a benchmark; tests/benchmarks/turns.py starts it and calls it up.

It joins the others exactly as a worker of `python -m trainer run` does, makes ready
what is to be timed, and times it whenever it is its group's turn. Files in the workdir
say which turn it is, and what each worker has found.
"""

import json
import os
import sys
import time

from absl import flags
from etils import epath

from trainer import cluster, commands, config, console, termination

READY, END = "ready", "end"  # names of files
_LOOK_SECS = 0.02


def work(argv: list[str]) -> None:
    """Takes the trainer's flags, and --floats for an all-reduce in place of steps."""
    values = commands.define_flags()
    flags.DEFINE_multi_integer("floats", [], "of the vectors", flag_values=values)
    values(argv)
    settings = config.load(values.config, values.set)
    path = epath.Path(values.workdir)
    own = cluster.read()
    rank = own.rank if own else 0
    end = termination.Termination(
        grace_secs=settings.runtime.grace_secs,
        watchdog_secs=settings.runtime.watchdog_secs,
    )
    with end.listening():
        # TensorFlow, once SIGTERM is blocked.
        from tests.benchmarks import timing
        from trainer import stages

        session = stages.open_session(settings, path, own, end, command="scaling")
        with session.workers.parting(end):
            if values.floats:
                timers = timing.all_reduces(session, values.floats)
            else:
                timers = [timing.steps(session)]
            _tell(path, READY, rank, [timer.facts for timer in timers])
            turn = 0
            while _is_called(path, turn):
                started = time.process_time()
                found = [timer.time() for timer in timers]
                cpu_secs = time.process_time() - started
                _tell(path, str(turn), rank, {"found": found, "cpu_secs": cpu_secs})
                turn += 1


def _is_called(path: epath.Path, turn: int) -> bool:
    """Whether there is such a turn, once that is known."""
    while not (path / str(turn)).exists():
        if (path / END).exists():
            return False
        time.sleep(_LOOK_SECS)
    return True


def _tell(path: epath.Path, name: str, rank: int, what: object) -> None:
    partial = path / f"{name}.{rank}.partial"
    partial.write_text(json.dumps(what))
    partial.replace(path / f"{name}.{rank}")


if __name__ == "__main__":
    console.prepare()
    with termination.sigterm_blocked():
        work(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # as trainer/__main__.py does
