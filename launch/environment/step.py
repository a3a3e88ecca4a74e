"""The step of a Slurm job, seen from the job's script and from each of its tasks."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from launch import exit_codes, installed, program
from launch.environment import process, srun_codes
from launch.errors import LaunchError

# With another order of ranks no task would know its address.
_SRUN = ("srun", "--kill-on-bad-exit=1", "--label", "--distribution=block")
# From the failure of a task to the end of all others, which Slurm's KillWait (30 s)
# is part of. srun itself waits forever for a host that it cannot hear.
_END_SECS = 60.0
_FAILED = signal.SIGUSR1


def run(words: Sequence[str]) -> int:
    """Runs the program as the tasks of a step; returns the exit code that decides.

    Raises:
      LaunchError: srun cannot be run.
    """
    is_out_of_reach = False

    def give_up(number: int, frame: FrameType | None) -> None:
        nonlocal is_out_of_reach
        is_out_of_reach = True
        say(
            f"a worker failed {_END_SECS:g} s ago, and srun still waits for others, "
            "which it cannot reach"
        )
        srun.kill()

    def begin_to_end(number: int, frame: FrameType | None) -> None:
        if not any(signal.getitimer(signal.ITIMER_REAL)):
            signal.setitimer(signal.ITIMER_REAL, _END_SECS)

    signal.signal(signal.SIGALRM, give_up)
    signal.signal(_FAILED, begin_to_end)
    srun = _start([*_SRUN, *installed.again(), "slurm", "--", *words])
    status = srun.wait()
    # Others that fail may tell so later.
    signal.signal(_FAILED, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if is_out_of_reach:
        return exit_codes.PEER_LOST
    return srun_codes.meant(exit_codes.from_status(status))


def run_task(words: Sequence[str], job: str) -> int:
    """Runs the program of one task; returns the exit code that is for srun."""
    # Slurm signals each process of a task. The program saves first, then ends.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        inner = process.environment(os.environ, num_workers=None)
        code = exit_codes.from_status(_start(words, inner).wait())
    except LaunchError as error:
        say(str(error))
        code = exit_codes.UNUSABLE
    if code not in (0, exit_codes.TERMINATED):
        _tell_script(job)
    return srun_codes.told(code)


def _tell_script(job: str) -> None:
    """Says by way of Slurm's controller that this task has failed.

    The network between this host and that of srun may be what has failed.
    """
    words = ["scancel", "--batch", f"--signal={_FAILED.name}", job]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(words, capture_output=True, timeout=20)


def _start(
    words: Sequence[str], environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        return subprocess.Popen(words, env=environment)
    except OSError as error:
        raise program.unusable(words[0], error) from error


def say(text: str) -> None:
    """Writes a line into the job's log."""
    print(f"launch: {text}", file=sys.stderr, flush=True)
