"""The script of a Slurm job: its workers by srun, and back into the queue."""

import os
import re
import subprocess
import time
from collections.abc import Sequence

from absl import flags

from launch import exit_codes, program
from launch.environment import slurm, step
from launch.errors import LaunchError

_USAGE = """\
usage: python -m launch slurm [--max-requeues=N] -- PROGRAM [ARGUMENT ...]

In the script of a Slurm job starts PROGRAM by srun, once a task, with the TF_CONFIG of
python -m launch env. When one fails, the others are stopped. After exit codes from 128
up except 130 the job goes back into the queue. The script has to exec this command,
as distill.sbatch does: a worker that fails sends it SIGUSR1 by way of Slurm.

flags:
  --max-requeues=N  most in a row after which the workdir of PROGRAM holds no new
                    checkpoint, model or shard (20); those that Slurm or a person
                    causes do not count
"""
# Slurm's controller may be away for a while, say for an update.
_TRIES, _PAUSE_SECS = 20, 30.0


def command(argv: list[str]) -> int:
    """Runs the job, or as a task of srun its program; returns the exit code.

    Raises:
      LaunchError: this is no job, or a flag or the program cannot be used.
    """
    values = flags.FlagValues()
    flags.DEFINE_integer("max-requeues", 20, "in a row", flag_values=values)
    words = program.parse(values, argv, command="slurm", usage=_USAGE)
    if words is None:
        return 0
    max_requeues = values["max-requeues"].value
    if max_requeues < 0:
        raise LaunchError(f"--max-requeues must be at least 0, got {max_requeues}")
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        raise LaunchError(
            "SLURM_JOB_ID must be set, but is not: this is no job of Slurm; submit it "
            "by sbatch launch/environment/distill.sbatch"
        )
    if slurm.is_task(os.environ):
        return step.run_task(words, job)
    return _run_job(words, job, max_requeues)


def _run_job(words: Sequence[str], job: str, max_requeues: int) -> int:
    """Runs the job's step, and puts the job back into the queue where that may help."""
    code = step.run(words)
    restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    folder = "".join(program.flag_values(words, "workdir")[-1:])
    count = _count(folder, job, restarts=restarts, code=code)
    if count is None:
        return code
    said = exit_codes.describe(code, of_trainer=program.is_trainer(words))
    if count > max_requeues:
        step.say(
            f"exit code {said}; job {job} stays out of the queue: the last "
            f"{max_requeues} of --max-requeues={max_requeues} kept no new step; find "
            "the reason above, then submit it again"
        )
    elif _is_this_start(job, restarts):
        step.say(
            f"exit code {said}; job {job} goes back into the queue, {count} of at most "
            f"{max_requeues} without a new step"
        )
        _scontrol("requeue", job)
    return code


def _count(folder: str, job: str, *, restarts: int, code: int) -> int | None:
    """Counts a requeue in the workdir; None where the code asks for none."""
    is_worth_it = exit_codes.is_worth_a_restart(code)
    if not folder:
        return restarts + 1 if is_worth_it else None
    # A second that only the last lines of a job need.
    from launch.environment import requeues

    counted = requeues.of(folder, job)
    try:
        if is_worth_it:
            return counted.add()
        counted.forget()
    except Exception as error:  # a store has errors of its own kind
        step.say(f"{folder} must be writable to count requeues in it: {error}")
        return restarts + 1 if is_worth_it else None
    return None


def _is_this_start(job: str, restarts: int) -> bool:
    """Whether the job has not been started again while this host was cut off."""
    found = re.search(r"\bRestarts=(\d+)", _scontrol("show", "job", job))
    if found and int(found[1]) != restarts:
        step.say(f"job {job} has been started again already")
        return False
    return True


def _scontrol(*words: str) -> str:
    """Slurm's answer, once its controller gives one; "" where it refuses."""
    for left in reversed(range(_TRIES)):
        done = subprocess.run(["scontrol", *words], capture_output=True, text=True)
        if not done.returncode:
            return done.stdout
        step.say(f"scontrol {' '.join(words)}: {done.stderr.strip()}")
        if not left or "Unable to contact" not in done.stderr:
            break
        time.sleep(_PAUSE_SECS)
    return ""
