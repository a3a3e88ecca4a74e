"""Findings of checks, and which checks follow from others."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator

import tensorflow as tf

from trainer import exit_codes
from trainer.devices import memory


@dataclasses.dataclass(frozen=True)
class Check:
    """Something to look at, and what must be right before."""

    topic: str
    look: Callable[[], Iterator[str]]  # its findings, or what a run would end with
    needs: tuple[str, ...] = ()  # topics of checks that must have passed
    mark: str = "ok"  # of a finding


def run(checks: Iterable[Check]) -> tuple[str, ...]:
    """Prints each finding in a line of its own; gives the topics of failed checks."""
    passed, failed = set[str](), list[str]()
    for check in checks:
        missing = [topic for topic in check.needs if topic not in passed]
        if missing:
            _tell(check.topic, "skipped", f"needs {' and '.join(missing)}")
            continue
        try:
            for finding in check.look():
                _tell(check.topic, check.mark, finding)
        except Exception as error:
            if not _is_failure(error):
                raise
            _tell(check.topic, "FAILED", sentence(error))
            failed.append(check.topic)
        else:
            passed.add(check.topic)
    if failed:
        _tell("result", "FAILED", f"{', '.join(failed)}: see above")
    else:
        _tell("result", "ok", "nothing stands against a run")
    return tuple(failed)


def _is_failure(error: Exception) -> bool:
    """Whether a run would end with the error, and not by a fault of this program."""
    code = exit_codes.from_error(error)
    known = code in (exit_codes.UNUSABLE, exit_codes.DIVERGED)
    return known or isinstance(error, tf.errors.OpError)


def _tell(topic: str, mark: str, text: str) -> None:
    print(f"{topic:<13}  {mark:<7}  {text}", flush=True)


def sentence(error: Exception) -> str:
    """Describes a failure, and what may help."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return f"{memory.OUT_OF_MEMORY} ({_first_line(error)})"
    if isinstance(error, tf.errors.OpError):
        return (
            f"TensorFlow cannot do this here ({_first_line(error)}); if it is a step, "
            "try --set='runtime.xla=\"off\"' or another precision"
        )
    return " ".join(str(error).split())


def _first_line(error: tf.errors.OpError) -> str:
    """Without the graph names that TensorFlow puts around it."""
    line = (error.message.strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*", "", line)
