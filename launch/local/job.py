"""Workers on this machine, started again together where that may help."""

import dataclasses
import os
import pathlib
import signal
import sys
from collections.abc import Sequence

from absl import flags

from launch import exit_codes, program, tf_config
from launch.errors import LaunchError
from launch.local import addresses, faults, shares
from launch.local.group import Group, Outcome
from launch.local.log import Log
from launch.local.screen import Screen
from launch.local.signals import Signals
from launch.local.worker import Worker

_USAGE = """\
usage: python -m launch local --workers=N [FLAG ...] -- PROGRAM [ARGUMENT ...]

Starts N workers of one cluster on this machine, each with its TF_CONFIG and an equal
share of the GPUs and cores. When one fails, the others are stopped and its exit code is
that of the command. A PROGRAM named python is the interpreter that runs this command.
A wrapper script should exec its program: the kernel kills the wrapper alone when this
command is killed.

flags:
  --workers=N         processes to start
  --max-restarts=K    starts all anew, at most K times, after exit codes from 128 up
                      except 130 (0); each prints how the attempt ended and
                      "restart I of K", then all that the workers say anew
  --log-dir=DIR       also appends what each says to DIR/worker-I.log, later
                      attempts below a line of their own
  --grace-secs=S      from SIGTERM to SIGKILL (30)
  --fault=KIND:worker:I@step=N
                      a test: sends worker I SIGKILL, SIGTERM or SIGSTOP (kill, term,
                      stop) at a step that any worker tells, or with @secs=N that long
                      after the start; once a job; may be repeated
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    program: Sequence[str]
    environments: Sequence[dict[str, str]]  # of each worker, but for TF_CONFIG
    log_dir: pathlib.Path | None
    grace_secs: float
    max_restarts: int


def command(argv: list[str]) -> int:
    """Runs the command with the words that follow its name; returns the exit code.

    Raises:
      LaunchError: a flag, the program or the share of GPUs cannot be used.
    """
    values = _define_flags()
    words = program.parse(values, argv, command="local", usage=_USAGE)
    if words is None:
        return 0
    _check(values)
    num_workers = values.workers
    program.check_for_group(words, num_workers=num_workers)
    to_come = faults.Faults(
        faults.parse(text, num_workers=num_workers) for text in values.fault
    )
    log_dir = values["log-dir"].value
    job = _Job(
        program=words,
        environments=shares.environments(num_workers, os.environ),
        log_dir=pathlib.Path(os.path.expanduser(log_dir)) if log_dir else None,
        grace_secs=values["grace-secs"].value,
        max_restarts=values["max-restarts"].value,
    )
    screen = Screen()
    try:
        with Signals() as signals:
            return _run(job, screen, signals, to_come)
    finally:
        screen.flush()


def _check(values: flags.FlagValues) -> None:
    if sys.platform != "linux":
        raise LaunchError(
            f"local must run on Linux, got {sys.platform}; run the program itself, "
            "which uses all devices of this machine"
        )
    for name, least in (("workers", 1), ("max-restarts", 0), ("grace-secs", 0)):
        value = values[name].value
        if value is None or not value >= least:  # so that nan is refused
            raise LaunchError(
                f"--{name} must be at least {least}, "
                f"got {'none' if value is None else value}"
            )


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_integer("workers", None, "processes to start", flag_values=values)
    flags.DEFINE_integer("max-restarts", 0, "of the whole group", flag_values=values)
    flags.DEFINE_string("log-dir", None, "folder of the logs", flag_values=values)
    flags.DEFINE_float("grace-secs", 30.0, "SIGTERM to SIGKILL", flag_values=values)
    flags.DEFINE_multi_string("fault", [], "KIND:worker:I@step=N", flag_values=values)
    return values


def _run(job: _Job, screen: Screen, signals: Signals, to_come: faults.Faults) -> int:
    """Attempts until one succeeds, cannot be mended, or the restarts are used up."""
    for attempt in range(1, job.max_restarts + 2):
        group = Group(
            screen=screen, signals=signals, faults=to_come, grace_secs=job.grace_secs
        )
        workers: list[Worker] = []
        try:
            _start(job, workers, attempt=attempt, screen=screen)
            outcome = group.run(workers)
        finally:
            for worker in workers:
                if worker.is_running:
                    worker.reap()
        code = _exit_code(outcome)
        if code:
            _summarise(outcome, job, screen)
        if outcome.signals or not exit_codes.is_worth_a_restart(code):
            break
        if attempt <= job.max_restarts:
            screen.say(f"restart {attempt} of {job.max_restarts}")
        elif job.max_restarts:
            screen.say(f"no restart is left of {job.max_restarts}")
    for fault in to_come.to_come:
        screen.say(f"fault {fault.text} did not happen")
    return code


def _start(job: _Job, workers: list[Worker], *, attempt: int, screen: Screen) -> None:
    """Starts all workers into `workers`, which holds the started ones at an error."""
    places = addresses.free(len(job.environments))
    for index, environment in enumerate(job.environments):
        name = f"worker-{index}"
        log = None
        if job.log_dir:
            log = Log(job.log_dir / f"{name}.log", attempt=attempt, screen=screen)
        config = {"TF_CONFIG": tf_config.text(places, index)}
        workers.append(
            Worker(name, job.program, environment=environment | config, log=log)
        )


def _exit_code(outcome: Outcome) -> int:
    codes = [worker.code for worker in outcome.ended]
    if not any(codes):
        return 0
    # What a restart cannot mend stays what it is if it came before the signal.
    if outcome.cause and not (
        outcome.signals and exit_codes.is_worth_a_restart(outcome.cause.code)
    ):
        return outcome.cause.code
    if signal.SIGINT in outcome.signals:
        return exit_codes.INTERRUPTED
    return exit_codes.TERMINATED


def _summarise(outcome: Outcome, job: _Job, screen: Screen) -> None:
    """Says how a group ended that failed, the reason last."""
    ends = ", ".join(f"{worker.name} with {worker.code}" for worker in outcome.ended)
    cause = outcome.cause
    if cause is None:
        names = ", ".join(signal.Signals(number).name for number in outcome.signals)
        screen.say(f"stopped by {names}; ended: {ends}")
        return
    if cause.last_lines:
        screen.say(f"the last lines of {cause.name}:")
    for line in cause.last_lines:
        screen.say(f"  | {line}")
    is_trainer = program.is_trainer(job.program)
    said = exit_codes.describe(cause.code, of_trainer=is_trainer)
    screen.say(
        f"{cause.name} failed with exit code {said}; ended: {ends}{_hung(outcome)}"
    )


def _hung(outcome: Outcome) -> str:
    """The workers that likely hung, where the cause is a victim of theirs; or ""."""
    if not outcome.unresponsive or outcome.signals:
        return ""
    if outcome.cause is None or outcome.cause.code != exit_codes.PEER_LOST:
        return ""
    names = " and ".join(worker.name for worker in outcome.unresponsive)
    who = "is likely the one" if len(outcome.unresponsive) == 1 else "are likely those"
    return f"; {names} did not react to SIGTERM, and {who} that hung"
