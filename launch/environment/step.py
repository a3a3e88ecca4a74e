"""The step of a Slurm job, seen from the job's script and from each of its tasks."""

import contextlib
import os
import signal
import subprocess
import sys
import time
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
    begun_to_end: list[float] = []

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        begun_to_end.append(time.monotonic())

    signal.signal(_FAILED, note)
    srun = _start([*_SRUN, *installed.again(), "slurm", "--", *words])
    while srun.poll() is None:
        time.sleep(0.5)
        if begun_to_end and time.monotonic() > begun_to_end[0] + _END_SECS:
            say(
                f"a worker failed {_END_SECS:.0f} s ago, and srun still waits for "
                "others, which it cannot reach"
            )
            srun.kill()
            srun.wait()
            return exit_codes.PEER_LOST
    return srun_codes.meant(exit_codes.from_status(srun.returncode))


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
