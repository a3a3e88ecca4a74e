"""The state of a TFJob and its pods, in words."""

from collections.abc import Iterator
from typing import Any

from launch import exit_codes
from launch.kubernetes import tfjob, tfjob_rules
from launch.kubernetes.findings import at, items, number, table

_STATES = ("Failed", "Succeeded", "Suspended", "Restarting", "Running", "Created")

_STATE_MEANINGS = {
    "Failed": "a worker ended for good, or the deadline passed",
    "Suspended": "it waits to be admitted, or somebody suspended it",
    "Restarting": "a worker ended and its pod is made again; the others follow it",
    "Running": "which only says that one worker runs",
    "Created": "no worker runs yet",
}

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
    state = _state(job)
    specs = tfjob_rules.replicas_of(job).values()
    # The operator leaves the pods of a finished job as they are.
    policy = "" if state in ("Failed", "Succeeded") else _restart_policy(job)
    phases = [str(at(pod, "status", "phase")) for pod in pods]
    counts = ", ".join(f"{phases.count(kind)} {kind}" for kind in sorted(set(phases)))
    lines = [
        f"{at(job, 'metadata', 'name')}: {_explain(job, state)}",
        f"  {len(pods)} of {sum(map(tfjob_rules.count_of, specs))} pods"
        + (f": {counts}" if counts else ""),
    ]
    for pod in sorted(pods, key=_order):
        for line in _pod_lines(pod, policy):
            lines.append(f"  {at(pod, 'metadata', 'name')}: {line}")
    return "\n".join(lines)


def _restart_policy(job: dict[str, Any]) -> str:
    specs = tfjob_rules.replicas_of(job).values()
    return next((str(spec.get("restartPolicy")) for spec in specs), "")


def _order(pod: dict[str, Any]) -> tuple[str, int]:
    labels = table(pod, "metadata", "labels")
    index = str(labels.get("training.kubeflow.org/replica-index", "0"))
    return str(labels.get("training.kubeflow.org/replica-type")), int(index)


def _conditions(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The conditions that hold now, by their types."""
    conditions = items(job, "status", "conditions")
    return {str(c.get("type")): c for c in conditions if c.get("status") == "True"}


def _state(job: dict[str, Any]) -> str:
    """The state that outranks the others that hold; "" where the operator set none."""
    return next((state for state in _STATES if state in _conditions(job)), "")


def _explain(job: dict[str, Any], state: str) -> str:
    if not state:
        return "not seen by the operator yet; is the Training Operator installed?"
    condition = _conditions(job)[state]
    parts = [f"{state} since {condition.get('lastTransitionTime')}"]
    if state in _STATE_MEANINGS:
        parts.append(_STATE_MEANINGS[state])
    if condition.get("message"):
        parts.append(f"the operator says: {condition['message']}")
    return "; ".join(parts)


def _pod_lines(pod: dict[str, Any], policy: str) -> Iterator[str]:
    statuses = [
        status
        for status in items(pod, "status", "containerStatuses")
        if status.get("name") == tfjob.CONTAINER
    ]
    for status in statuses:
        for key, tense in (("state", "ended"), ("lastState", "ended before")):
            ended = table(status, key, "terminated")
            if ended:
                yield f"{tense} with {_end(ended, policy)}"
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
        yield f"failed before its program ended ({reason}: {message})"


def _end(ended: dict[str, Any], policy: str) -> str:
    code = number(ended, "exitCode") or 0
    meaning = exit_codes.meaning(code) or "not a known code"
    if ended.get("reason") == "OOMKilled":
        meaning = "out of memory; raise --memory"
    message = " ".join(str(ended.get("message", "")).split())
    said = f"; it said: {message[-400:]}" if message else ""
    return f"{code} ({meaning}{_fate(code, policy)}){said}"


def _fate(code: int, policy: str) -> str:
    """The operator's reaction to a program that ended with `code`."""
    if code == 0 or not policy:
        return ""
    if policy == "ExitCode":
        retried = code >= exit_codes.FIRST_OF_SIGNALS
        return ", its pod is made again" if retried else ", not tried again"
    return ", not tried again" if policy == "Never" else ", it is started again"


def _pending(pod: dict[str, Any]) -> str:
    for condition in items(pod, "status", "conditions"):
        if condition.get("type") == "PodScheduled" and condition["status"] == "False":
            message = str(condition.get("message", ""))
            hints = [hint for sign, hint in _PENDING if sign in message.lower()]
            known = f"{hints[0]}; " if hints else ""
            return f"pending: {known}the scheduler says: {message}"
    return "pending: the scheduler has not looked at it yet"
