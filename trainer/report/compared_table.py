"""Finished runs side by side, as rows for any page and as terminal text."""

from collections.abc import Sequence
from typing import Any

from trainer.report.amounts import value
from trainer.report.compared import Run, note
from trainer.report.inputs import setting, teacher
from trainer.report.loss_settings import temperature, weights
from trainer.report.table import TIMES, align

_ROLES = ("student", "baseline")
_METRICS = (("errors", "errors", 1, 1), ("accuracy", "accuracy %", 100, 2))


def header(runs: Sequence[Run]) -> tuple[str, ...]:
    """The columns; those of latency where a run has been timed."""
    measured = (f"{role} {column}" for role in _ROLES for _, column, _, _ in _METRICS)
    times = (f"ms, batch {size}" for size in batch_sizes(runs))
    return (
        *("run", "data", "teacher", "student", "T", "alpha", "parameters"),
        *("teacher errors", *measured, "gain", *times),
    )


def row(run: Run, runs: Sequence[Run]) -> tuple[str, ...]:
    """A cell for each column, of `run` among `runs`; `-` where there is no value."""
    student = run.models.get("student", {})
    measured = [
        _measurements(run, role, metric, factor, digits)
        for role in _ROLES
        for metric, _, factor, digits in _METRICS
    ]
    gain = run.gain or {}
    return (
        run.label,
        _text(setting(run.config, "data", "dataset")),
        _text(teacher(run.config)),
        _text(setting(run.config, "student", "model")),
        _value(temperature(run.config)),
        _value(weights(run.config)),
        f"{student['parameters']:,}" if student else "-",
        _measurements(run, "teacher", "errors", 1, 1),
        *measured,
        value(gain.get("mean"), gain.get("standard_error"), digits=1),
        *(_number(latency(run, size)) for size in batch_sizes(runs)),
    )


def meaning(runs: Sequence[Run]) -> list[str]:
    """Explains the numbers, and what is not to be read from them."""
    parts = [
        "errors and accuracy on the test split: mean +- standard deviation over seeds",
        "gain: baseline's errors minus student's, +- its standard error",
        "parameters: of the student",
    ]
    if batch_sizes(runs):
        parts.append("ms: of the student, for an example")
    return ["; ".join(parts), *filter(None, [note(runs)])]


def render_compared(runs: Sequence[Run]) -> str:
    """The table as aligned ASCII text, what it means below it; no final newline."""
    rows = [header(runs), *(row(run, runs) for run in runs)]
    return "\n".join([*align(rows), *meaning(runs)])


def batch_sizes(runs: Sequence[Run]) -> list[str]:
    """For which students have been timed, the smallest first."""
    found = {size for run in runs for size in _times(run)}
    return sorted(found, key=int)


def latency(run: Run, size: str) -> float | None:
    """Milliseconds that the student takes for an example of a batch of that size."""
    found = _times(run).get(size)
    return None if found is None else float(found)


def prices(runs: Sequence[Run]) -> list[tuple[str, str | None]]:
    """The prices of accuracy: each with the batch size where it is latency."""
    times = [(f"ms per example, batch {size}", size) for size in batch_sizes(runs)]
    return [("parameters", None), *times]


def price_of(run: Run, size: str | None) -> float | None:
    """Parameters of the student, or its latency at a batch `size`."""
    if size is not None:
        return latency(run, size)
    return (
        float(run.models["student"]["parameters"])
        if run.models.get("student")
        else None
    )


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, accuracy) that no other beats in both, by their costs."""
    best: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    return best


def _times(run: Run) -> dict[str, Any]:
    return dict(run.models.get("student", {}).get(TIMES, {}))


def _measurements(run: Run, role: str, metric: str, factor: float, digits: int) -> str:
    model = run.models.get(role)
    if model is None:
        return "-"
    mean, spread = (model[kind].get(metric) for kind in ("mean", "std"))
    return value(mean, spread, factor=factor, digits=digits)


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.4g}"


def _value(value: Any) -> str:
    """A number, or the text of several."""
    return _text(value) if isinstance(value, str) else _number(value)


def _text(text: Any) -> str:
    return "-" if text is None else str(text)
