"""The state of a job's pods, in words."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from launch import exit_codes
from launch.kubernetes.findings import at, items, number, table

Fate = Callable[[int], str]  # the operator's reaction to an exit code; "" for none

_PENDING = (
    ("insufficient nvidia.com/gpu", "no node has so many free GPUs"),
    ("untolerated taint", "nodes repel the pod; see its tolerations"),
    ("node affinity", "no node has the labels of --node-selector"),
    ("podgroup", "the gang waits until all workers fit at once"),
    ("pod group", "the gang waits until all workers fit at once"),
    ("persistentvolumeclaim", "its claim is not there or not bound"),
)


def conditions(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The conditions of an object that hold now, by their types."""
    found = items(job, "status", "conditions")
    return {str(c.get("type")): c for c in found if c.get("status") == "True"}


def since(state: str, condition: dict[str, Any], *, meaning: str) -> str:
    """A state of the job, from when on it holds, and what the operator says of it."""
    parts = [f"{state} since {condition.get('lastTransitionTime')}"]
    if meaning:
        parts.append(meaning)
    if condition.get("message"):
        parts.append(f"the operator says: {condition['message']}")
    return "; ".join(parts)


def count(pods: Sequence[dict[str, Any]], *, expected: int | None) -> str:
    """The number of pods there are, of those that are asked for, and their phases."""
    phases = [str(at(pod, "status", "phase")) for pod in pods]
    counts = ", ".join(f"{phases.count(kind)} {kind}" for kind in sorted(set(phases)))
    total = "" if expected is None else f" of {expected}"
    return f"{len(pods)}{total} pods" + (f": {counts}" if counts else "")


def lines(pod: dict[str, Any], *, container: str, fate: Fate) -> Iterator[str]:
    """A line or more on one pod, each with its name.

    Args:
      pod: its description by the server.
      container: the name of the one that runs the program.
      fate: words on what follows an exit code.
    """
    for line in _facts(pod, container, fate):
        yield f"{at(pod, 'metadata', 'name')}: {line}"


def _facts(pod: dict[str, Any], container: str, fate: Fate) -> Iterator[str]:
    statuses = [
        status
        for status in items(pod, "status", "containerStatuses")
        if status.get("name") == container
    ]
    for status in statuses:
        for key, tense in (("state", "ended"), ("lastState", "ended before")):
            ended = table(status, key, "terminated")
            if ended:
                yield f"{tense} with {_end(ended, fate)}"
        waiting = table(status, "state", "waiting")
        if waiting:
            yield f"waits: {waiting.get('reason')} {waiting.get('message', '')}".strip()
    phase = at(pod, "status", "phase")
    if phase == "Running":
        restarts = sum(number(status, "restartCount") or 0 for status in statuses)
        again = f", started again there {_times(restarts)}" if restarts else ""
        yield f"runs on {at(pod, 'spec', 'nodeName')}{again}"
    elif phase == "Pending" and not statuses:
        yield _pending(pod)
    elif phase == "Failed" and not statuses:
        reason, message = at(pod, "status", "reason"), at(pod, "status", "message")
        yield f"failed before its program ended ({reason}: {message})"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _end(ended: dict[str, Any], fate: Fate) -> str:
    code = number(ended, "exitCode") or 0
    meaning = exit_codes.meaning(code) or "not a known code"
    if ended.get("reason") == "OOMKilled":
        meaning = "out of memory; raise --memory"
    message = " ".join(str(ended.get("message", "")).split())
    said = f"; it said: {message[-400:]}" if message else ""
    follows = fate(code) if code else ""
    return f"{code} ({meaning}{', ' if follows else ''}{follows}){said}"


def _pending(pod: dict[str, Any]) -> str:
    for condition in items(pod, "status", "conditions"):
        if condition.get("type") == "PodScheduled" and condition["status"] == "False":
            message = str(condition.get("message", ""))
            hints = [hint for sign, hint in _PENDING if sign in message.lower()]
            known = f"{hints[0]}; " if hints else ""
            return f"pending: {known}the scheduler says: {message}"
    return "pending: the scheduler has not looked at it yet"
