"""The cluster of a Slurm job step, as srun describes it to each of its tasks."""

import itertools
import re
import subprocess
from collections.abc import Mapping

from launch.errors import LaunchError

# From 32768 on the kernel gives ports to connections of any program.
_FIRST_PORT, _END_OF_PORTS = 20000, 32768
_COUNT = re.compile(r"(\d+)(?:\(x(\d+)\))?")


def recognises(environment: Mapping[str, str]) -> bool:
    """Whether Slurm has started this process."""
    return "SLURM_PROCID" in environment


def is_task(environment: Mapping[str, str]) -> bool:
    """Whether srun has started this process, which is no job's script then."""
    return "SLURM_STEP_NODELIST" in environment


def members(environment: Mapping[str, str]) -> tuple[list[str], int]:
    """The address of each task of the step in the order of ranks, and the own rank.

    The hosts come in the order in which Slurm counts them, which is not that of their
    names. Tasks of one host take ports that follow one another, from a port of the
    job's own. Jobs of as many tasks a host share none where their numbers are near.

    Raises:
      LaunchError: the process is not started by srun, or the step cannot be read.
    """
    if not is_task(environment):
        raise LaunchError(
            "SLURM_STEP_NODELIST must name the hosts of the step, but is not set: this "
            "process is the job's script; start it by srun, once on each host"
        )
    hosts = _hosts(environment["SLURM_STEP_NODELIST"])
    counts = task_counts(_require(environment, "SLURM_STEP_TASKS_PER_NODE"))
    if len(hosts) != len(counts):
        raise LaunchError(
            "SLURM_STEP_TASKS_PER_NODE must count the tasks of each of the "
            f"{len(hosts)} hosts, got {environment['SLURM_STEP_TASKS_PER_NODE']}"
        )
    first_port = _first_port(_number(environment, "SLURM_JOB_ID"), max(counts))
    places = [
        (node, local) for node, count in enumerate(counts) for local in range(count)
    ]
    rank = _number(environment, "SLURM_PROCID")
    if rank >= len(places):
        raise LaunchError(
            f"SLURM_PROCID must be below the {len(places)} tasks of "
            f"SLURM_STEP_TASKS_PER_NODE, got {rank}; start by srun"
        )
    _require_place(environment, places[rank])
    return [f"{hosts[node]}:{first_port + local}" for node, local in places], rank


def task_counts(text: str) -> list[int]:
    """Tasks of each host, from a text such as "2(x3),1", which is 2, 2, 2, 1."""
    matches = [_COUNT.fullmatch(part) for part in text.split(",")]
    return list(
        itertools.chain.from_iterable(
            [int(match[1])] * int(match[2] or 1) for match in matches if match
        )
    )


def _first_port(job: int, num_tasks: int) -> int:
    """The first port of a job's tasks, of which a host has at most `num_tasks`."""
    num_blocks = (_END_OF_PORTS - _FIRST_PORT) // num_tasks
    return _FIRST_PORT + job % num_blocks * num_tasks


def _require_place(environment: Mapping[str, str], place: tuple[int, int]) -> None:
    """Refuses ranks that do not fill one host after the other."""
    told = tuple(
        _number(environment, name) for name in ("SLURM_NODEID", "SLURM_LOCALID")
    )
    if told != place:
        raise LaunchError(
            f"rank {environment['SLURM_PROCID']} must be task {place[1]} of host "
            f"{place[0]}, got task {told[1]} of host {told[0]}; add "
            "--distribution=block to srun"
        )


def _require(environment: Mapping[str, str], name: str) -> str:
    if name not in environment:
        raise LaunchError(f"{name} must be set as srun does, but is not; start by srun")
    return environment[name]


def _number(environment: Mapping[str, str], name: str) -> int:
    text = _require(environment, name)
    if not text.isdecimal():
        raise LaunchError(
            f"{name} must be a number as srun sets it, got {text!r}; start by srun"
        )
    return int(text)


def _hosts(node_list: str) -> list[str]:
    try:
        listing = subprocess.run(
            ["scontrol", "show", "hostnames", node_list],
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or getattr(error, "strerror", error)
        raise LaunchError(
            f"scontrol must name the hosts of {node_list}, got: {str(reason).strip()}; "
            "it must be on PATH on each host"
        ) from error
    return listing.stdout.split()
