"""The cluster of an indexed job of a JobSet, to which a TrainJob leads as well."""

from collections.abc import Mapping

from launch.errors import LaunchError

_PORT = 2222
_INDEX = "JOB_COMPLETION_INDEX"  # set by Kubernetes in each pod of an indexed job


def recognises(environment: Mapping[str, str]) -> bool:
    """Whether this process is one pod of such a job, and knows its peers' names."""
    return _INDEX in environment and (
        "ALAMBIC_HOST" in environment or "JOBSET_NAME" in environment
    )


def members(
    environment: Mapping[str, str], *, num_workers: int | None
) -> tuple[list[str], int]:
    """The address of each pod in the order of indices, and the own index.

    The names are those of ALAMBIC_HOST, a pattern with {index}; or else JobSet's own
    for a replicated job with one replica and JobSet's subdomain of its own name.

    Args:
      environment: that of the process; ALAMBIC_WORKERS counts where `num_workers`
        does not.
      num_workers: the pods of the job, None for those of the environment.

    Raises:
      LaunchError: the count or the names are missing or do not fit the index.
    """
    count = num_workers or _count(environment)
    if not environment[_INDEX].isdecimal():
        raise LaunchError(
            f"{_INDEX} must be a number as Kubernetes sets it, got "
            f"{environment[_INDEX]!r}"
        )
    index = int(environment[_INDEX])
    if index >= count:
        raise LaunchError(
            f"ALAMBIC_WORKERS or --workers must be above {_INDEX}={index}, got "
            f"{count}; it is the job's number of completions"
        )
    pattern = environment.get("ALAMBIC_HOST") or _jobset_pattern(environment)
    if "{index}" not in pattern:
        raise LaunchError(
            f"ALAMBIC_HOST must have {{index}} where the pod's index is, got "
            f"{pattern}; for instance demo-node-0-{{index}}.demo"
        )
    hosts = [pattern.replace("{index}", str(i)) for i in range(count)]
    return [f"{host}:{_PORT}" for host in hosts], index


def _jobset_pattern(environment: Mapping[str, str]) -> str:
    name, job = environment["JOBSET_NAME"], environment.get("REPLICATED_JOB_NAME")
    if not job:
        raise LaunchError(
            "REPLICATED_JOB_NAME must name the replicated job beside JOBSET_NAME, got "
            "none; take it from the annotation jobset.sigs.k8s.io/replicatedjob-name"
        )
    return f"{name}-{job}-0-{{index}}.{name}"


def _count(environment: Mapping[str, str]) -> int:
    text = environment.get("ALAMBIC_WORKERS", "")
    if not text.isdecimal() or not int(text):
        raise LaunchError(
            "ALAMBIC_WORKERS or --workers must be the number of the job's pods, got "
            f"{text or 'none'}: a pod is not told how many there are"
        )
    return int(text)
