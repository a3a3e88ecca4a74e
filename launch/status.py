"""What a TFJob and its pods do, in words."""

from collections.abc import Iterator
from typing import Any

from launch import manifest
from launch.findings import at, items, number, table

_STATES = ("Failed", "Succeeded", "Suspended", "Restarting", "Running", "Created")

_STATE_MEANINGS = {
    "Failed": "a worker ended with a code that is not tried again; see its line",
    "Suspended": "it waits to be admitted, or somebody suspended it",
    "Restarting": "a worker ended and its pod is made again; the others follow it",
    "Running": "which only says that one worker runs",
    "Created": "no worker runs yet",
}

# The trainer's exit codes, and those that the system adds.
_CODES = {
    0: "done",
    1: "a bug; its log has the stack",
    2: "command line, configuration, data, storage or TF_CONFIG unusable",
    3: "training diverged",
    4: "restart budget spent without progress",
    5: "a check failed",
    130: "interrupted",
    137: "killed: out of memory, or past its grace",
    138: "a peer was lost or did not come",
    139: "a crash in compiled code",
    143: "stopped by SIGTERM after a checkpoint, as a preemption does",
}
_FIRST_RETRIED = 128

_PENDING = (
    ("insufficient nvidia.com/gpu", "no node has so many free GPUs"),
    ("untolerated taint", "nodes repel the pod; see its tolerations"),
    ("node affinity", "no node has the labels of --node-selector"),
    ("podgroup", "the gang waits until all workers fit at once"),
    ("pod group", "the gang waits until all workers fit at once"),
    ("persistentvolumeclaim", "its claim is not there or not bound"),
)


def describe(job: dict[str, Any], pods: list[dict[str, Any]]) -> str:
    """Some lines on the job and a line or more on each of its pods."""
    name = at(job, "metadata", "name")
    lines = [f"{name}: {_state(job)}", *(f"  {line}" for line in _counts(job, pods))]
    for pod in sorted(pods, key=lambda pod: _order(pod)):
        for line in _pod_lines(pod):
            lines.append(f"  {at(pod, 'metadata', 'name')}: {line}")
    return "\n".join(lines)


def _order(pod: dict[str, Any]) -> tuple[str, int]:
    labels = table(pod, "metadata", "labels")
    index = str(labels.get("training.kubeflow.org/replica-index", "0"))
    return str(labels.get("training.kubeflow.org/replica-type")), int(index)


def _state(job: dict[str, Any]) -> str:
    conditions = {
        condition["type"]: condition
        for condition in items(job, "status", "conditions")
        if condition.get("status") == "True"
    }
    for state in _STATES:
        if state in conditions:
            since = conditions[state].get("lastTransitionTime")
            meaning = _STATE_MEANINGS.get(state)
            text = f"{state} since {since}" + (f": {meaning}" if meaning else "")
            message = conditions[state].get("message")
            return f"{text}; the operator says: {message}" if message else text
    return "not seen by the operator yet; is the Training Operator installed?"


def _counts(job: dict[str, Any], pods: list[dict[str, Any]]) -> Iterator[str]:
    wanted = sum(
        number(spec, "replicas") or 1
        for spec in table(job, "spec", "tfReplicaSpecs").values()
    )
    phases = [at(pod, "status", "phase") for pod in pods]
    counts = ", ".join(
        f"{phases.count(phase)} {phase}" for phase in sorted(set(phases), key=str)
    )
    yield f"{len(pods)} of {wanted} pods{': ' if counts else ''}{counts}"


def _pod_lines(pod: dict[str, Any]) -> Iterator[str]:
    statuses = [
        status
        for status in items(pod, "status", "containerStatuses")
        if status.get("name") == manifest.CONTAINER
    ]
    for status in statuses:
        for key, tense in (("state", "ended"), ("lastState", "ended before")):
            ended = table(status, key, "terminated")
            if ended:
                yield _end(ended, tense)
        waiting = table(status, "state", "waiting")
        if waiting:
            yield f"waits: {waiting.get('reason')} {waiting.get('message', '')}".strip()
    phase = at(pod, "status", "phase")
    if phase == "Running":
        yield f"runs on {at(pod, 'spec', 'nodeName')}"
    elif phase == "Pending" and not statuses:
        yield _pending(pod)
    elif phase == "Failed" and not statuses:
        reason, message = at(pod, "status", "reason"), at(pod, "status", "message")
        yield f"failed before its program ended ({reason}: {message}): it is made again"


def _end(ended: dict[str, Any], tense: str) -> str:
    code = number(ended, "exitCode") or 0
    meaning = _CODES.get(code)
    if meaning is None:
        meaning = (
            f"signal {code - 128}" if code > _FIRST_RETRIED else "not a known code"
        )
    if ended.get("reason") == "OOMKilled":
        meaning = "out of memory; raise --memory"
    retried = "" if code == 0 else ", not tried again"
    if code >= _FIRST_RETRIED:
        retried = ", its pod is made again"
    message = " ".join(str(ended.get("message", "")).split())
    return f"{tense} with {code} ({meaning}{retried})" + (
        f"; it said: {message[-400:]}" if message else ""
    )


def _pending(pod: dict[str, Any]) -> str:
    for condition in items(pod, "status", "conditions"):
        if condition.get("type") == "PodScheduled" and condition["status"] == "False":
            message = str(condition.get("message", ""))
            hints = [hint for sign, hint in _PENDING if sign in message.lower()]
            known = f"{hints[0]}; " if hints else ""
            return f"pending: {known}the scheduler says: {message}"
    return "pending: the scheduler has not looked at it yet"
