"""Parts in processes of their own, each of which may fail or hang for itself."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.gpu import findings

PART = "tests.benchmarks.gpu.part"
_TOLD_LINES = 5  # of a failed process, the last ones


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A module of Python, what it gets, and how long it may take."""

    name: str
    budget_secs: float
    module: str = PART
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a part ended, and what it had found by then."""

    name: str
    end: str  # "done", "failed", "too slow", or "no time left"
    secs: float
    told: str  # its output, of a failed one the last lines of its errors
    found: Mapping[str, Any]


def run(part: Part, folder: pathlib.Path, *, end: float) -> Outcome:
    """Runs a part; no longer than its budget, nor beyond the monotonic time `end`."""
    started = time.monotonic()
    budget = min(part.budget_secs, end - started)
    if budget <= 1:
        return Outcome(name=part.name, end="no time left", secs=0, told="", found={})
    stem = part.name.replace(" ", "-")
    out, errors = folder / f"{stem}.out", folder / f"{stem}.err"
    result = folder / f"{stem}.json"
    own = [f"--result={result}", f"--secs={budget}"] if part.module == PART else []
    with out.open("w") as stdout, errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", part.module, *part.arguments, *own],
            stdout=stdout,
            stderr=stderr,
            env=os.environ | {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} | part.environment,
            start_new_session=True,  # so that what it starts ends with it
        )
        try:
            code: int | None = process.wait(budget)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
    told = out.read_text().strip()
    if code != 0:
        told = "\n".join([told, *errors.read_text().splitlines()[-_TOLD_LINES:]])
    return Outcome(
        name=part.name,
        end={0: "done", None: "too slow"}.get(code, f"failed (exit code {code})"),
        secs=time.monotonic() - started,
        told=told.strip(),
        found=findings.read(result),
    )


def _end(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
