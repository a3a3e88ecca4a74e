"""The state of a TrainJob and its pods, in words.

The operator copies only the ends of the JobSet below a TrainJob into its conditions.
What runs stands in the counts of the JobSet's jobs, and each pod's labels say how often
all of them have been started again.
"""

from typing import Any

from launch import exit_codes
from launch.kubernetes import pod_status, trainjob
from launch.kubernetes.findings import at, items, number, table
from launch.kubernetes.job import NAME_LABEL, PROGRAM

_ENDS = {
    "Failed": "a worker ended for good, or the deadline passed",
    "Complete": "all workers ended with 0",
}
_SUSPENDED = "Suspended", "it waits to be admitted, or somebody suspended it"


def describe(job: dict[str, Any], pods: list[dict[str, Any]]) -> str:
    """Some lines on the job and a line or more on each of its pods."""
    workers = [pod for pod in pods if _role(pod) == trainjob.CONTAINER]
    restarts = max((_label(pod, trainjob.RESTARTS_LABEL) for pod in pods), default=0)
    expected = number(job, "spec", "trainer", "numNodes")
    again = f"; all workers started again: {restarts}" if restarts else ""
    told = [pod_status.count(workers, expected=expected) + again]
    is_finished = bool(_ENDS.keys() & pod_status.conditions(job).keys())
    for pod in sorted(pods, key=_order):
        ours = at(pod, "metadata", "labels", NAME_LABEL) == PROGRAM
        fate = _fate if ours and not is_finished else _unknown_fate
        # The operator gives containers the names of their jobs.
        told += pod_status.lines(pod, container=_role(pod), fate=fate)
    head = f"{at(job, 'metadata', 'name')}: {_explain(job, restarts=restarts)}"
    return "\n  ".join([head, *told])


def _role(pod: dict[str, Any]) -> str:
    return str(at(pod, "metadata", "labels", trainjob.REPLICATED_JOB_LABEL))


def _label(pod: dict[str, Any], key: str) -> int:
    """The number in a label; Kubernetes before 1.28 has some as annotations only."""
    metadata = table(pod, "metadata")
    text = at(metadata, "labels", key) or at(metadata, "annotations", key)
    return int(text) if str(text).isdecimal() else 0


def _order(pod: dict[str, Any]) -> tuple[str, int]:
    return _role(pod), _label(pod, trainjob.INDEX_LABEL)


def _explain(job: dict[str, Any], *, restarts: int) -> str:
    held = pod_status.conditions(job)
    for state, meaning in (*_ENDS.items(), _SUSPENDED):
        if state in held:
            return pod_status.since(state, held[state], meaning=meaning)
    jobs = {str(j.get("name")): j for j in items(job, "status", "jobsStatus")}
    if number(jobs, trainjob.CONTAINER, "ready"):
        return "Running; all workers run"
    if restarts:
        return "Restarting; a worker ended, and all of them start again"
    if jobs:
        return "Created; not all workers run yet"
    return (
        "not seen by the operators yet; are Kubeflow Trainer v2 and JobSet installed?"
    )


def _fate(code: int) -> str:
    """The reaction of a JobSet of ours to a program that ended with `code`."""
    is_permanent = code in exit_codes.permanent()
    return "not tried again" if is_permanent else "all workers start again"


def _unknown_fate(code: int) -> str:
    return ""
