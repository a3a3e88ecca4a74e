"""The state of a TFJob and its pods, in words."""

import functools
from typing import Any

from launch import exit_codes
from launch.kubernetes import pod_status, tfjob, tfjob_rules
from launch.kubernetes.findings import at, table

_STATES = ("Failed", "Succeeded", "Suspended", "Restarting", "Running", "Created")

_STATE_MEANINGS = {
    "Failed": "a worker ended for good, or the deadline passed",
    "Suspended": "it waits to be admitted, or somebody suspended it",
    "Restarting": "a worker ended and its pod is made again; the others follow it",
    "Running": "which only says that one worker runs",
    "Created": "no worker runs yet",
}


def describe(job: dict[str, Any], pods: list[dict[str, Any]]) -> str:
    """Some lines on the job and a line or more on each of its pods."""
    state = _state(job)
    specs = tfjob_rules.replicas_of(job).values()
    # The operator leaves the pods of a finished job as they are.
    policy = "" if state in ("Failed", "Succeeded") else _restart_policy(job)
    fate = functools.partial(_fate, policy=policy)
    expected = sum(map(tfjob_rules.count_of, specs))
    told = [pod_status.count(pods, expected=expected)]
    for pod in sorted(pods, key=_order):
        told += pod_status.lines(pod, container=tfjob.CONTAINER, fate=fate)
    head = f"{at(job, 'metadata', 'name')}: {_explain(job, state)}"
    return "\n  ".join([head, *told])


def _restart_policy(job: dict[str, Any]) -> str:
    specs = tfjob_rules.replicas_of(job).values()
    return next((str(spec.get("restartPolicy")) for spec in specs), "")


def _order(pod: dict[str, Any]) -> tuple[str, int]:
    labels = table(pod, "metadata", "labels")
    index = str(labels.get(tfjob.INDEX_LABEL, "0"))
    return str(labels.get(tfjob.ROLE_LABEL)), int(index)


def _state(job: dict[str, Any]) -> str:
    """The state that outranks the others that hold; "" where the operator set none."""
    held = pod_status.conditions(job)
    return next((state for state in _STATES if state in held), "")


def _explain(job: dict[str, Any], state: str) -> str:
    if not state:
        return "not seen by the operator yet; is the Training Operator installed?"
    condition = pod_status.conditions(job)[state]
    return pod_status.since(state, condition, meaning=_STATE_MEANINGS.get(state, ""))


def _fate(code: int, *, policy: str) -> str:
    """The operator's reaction to a program that ended with `code`."""
    if not policy:
        return ""
    if policy == "ExitCode":
        retried = code >= exit_codes.FIRST_OF_SIGNALS
        return "its pod is made again" if retried else "not tried again"
    return "not tried again" if policy == "Never" else "it is started again"
