"""What the throughput benchmark holds its figures against, and whether they meet it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tests.benchmarks.specs import BFLOAT16, FLOAT32

Key = tuple[str, str, str]  # workload, precision, contender; see specs.Spec.key
Rows = Mapping[Key, Mapping[str, Any]]

KERAS_32, KERAS_1 = "keras, 32 steps an execution", "keras, 1 step an execution"
TWO_DEVICES, TWO_WORKERS = "ours, 2 devices", "ours, 2 workers"
TEACHER_IN_BFLOAT16 = "ours, teacher in bfloat16"
ONE_BY_ONE = "ours, one step a program"
START = "start"  # the workload of rows that are commands
IMPORT, PRINT = "import of trainer.config", "python -m trainer config"

CACHE_OF_W2 = ("W2", "", "cache")
RATE, PEAK, FIRST = "examples_per_sec", "peak_bytes", "first_step_secs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A figure, or one divided by another, and its bound."""

    name: str
    figure: str
    of: Key
    over: Key | None = None  # None: the figure itself
    over_figure: str = ""  # "": the same
    bound: float
    at_most: bool = False  # or at least


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a target."""

    target: Target
    value: float | None  # None: not measured
    verdict: str  # "met", "missed" or "not measured"


def _rate(name: str, of: Key, over: Key, bound: float) -> Target:
    return Target(name=name, figure=RATE, of=of, over=over, bound=bound)


def _row(workload: str, contender: str, precision: str = FLOAT32) -> Key:
    return workload, precision, contender


def _memory(workload: str, keras: str = "keras") -> Target:
    return Target(
        name=f"{workload} peak memory / (b)",
        figure=PEAK,
        of=_row(workload, "ours"),
        over=_row(workload, keras),
        bound=1.0,
        at_most=True,
    )


TARGETS = (
    _rate("W1 float32 / (b)", _row("W1", "ours"), _row("W1", "keras"), 1.0),
    _rate("W1 float32 / (d)", _row("W1", "ours"), _row("W1", "floor"), 0.92),
    _rate(
        "W1 bfloat16 / (b) in float32",
        _row("W1", "ours", BFLOAT16),
        _row("W1", "keras"),
        2.2,
    ),
    _rate(
        "W1 bfloat16 / (b) in bfloat16",
        _row("W1", "ours", BFLOAT16),
        _row("W1", "keras", BFLOAT16),
        1.0,
    ),
    _rate(
        "W1 bfloat16 / (d) in bfloat16",
        _row("W1", "ours", BFLOAT16),
        _row("W1", "floor", BFLOAT16),
        0.9,
    ),
    _rate("W2 / (b) online", _row("W2", "ours"), _row("W1", "keras"), 10.0),
    _rate("W2 / (d), the student alone", _row("W2", "ours"), _row("W2", "floor"), 0.85),
    _rate("W3 / (b), 32 at a time", _row("W3", "ours"), _row("W3", KERAS_32), 1.7),
    _rate("W3 / (b), 1 at a time", _row("W3", "ours"), _row("W3", KERAS_1), 5.0),
    _rate("W4 / (b)", _row("W4", "ours"), _row("W4", "keras"), 1.15),
    _rate("W5 / (b)", _row("W5", "ours"), _row("W5", "keras"), 1.0),
    _rate("W5 / (d)", _row("W5", "ours"), _row("W5", "floor"), 0.9),
    _rate("W6 2 workers / 1", _row("W6", TWO_WORKERS), _row("W6", "ours"), 0.85),
    _rate("W7 / (d), decoding alone", _row("W7", "ours"), _row("W7", "floor"), 0.35),
    *map(_memory, ("W1", "W2")),
    _memory("W3", KERAS_32),
    *map(_memory, ("W4", "W5")),
    Target(
        name="W2 memory that the cache adds / its size",
        figure="added_bytes",
        of=CACHE_OF_W2,
        over=CACHE_OF_W2,
        over_figure="bytes",
        bound=1.0,
        at_most=True,
    ),
    Target(
        name="W1 first step / (b)",
        figure=FIRST,
        of=_row("W1", "ours"),
        over=_row("W1", "keras"),
        bound=1.5,
        at_most=True,
    ),
    Target(
        name=f"{IMPORT}, s",
        figure="secs",
        of=(START, "", IMPORT),
        bound=0.1,
        at_most=True,
    ),
    Target(
        name=f"{PRINT}, s",
        figure="secs",
        of=(START, "", PRINT),
        bound=0.5,
        at_most=True,
    ),
)


def judged(target: Target, rows: Rows) -> Verdict:
    """The verdict on what the rows hold; figures are medians already."""
    return judged_value(target, _value(target, rows))


def judged_value(target: Target, value: float | None) -> Verdict:
    """The verdict on a figure; None was not measured."""
    if value is None:
        return Verdict(target=target, value=None, verdict="not measured")
    is_met = value <= target.bound if target.at_most else value >= target.bound
    return Verdict(target=target, value=value, verdict="met" if is_met else "missed")


def _value(target: Target, rows: Rows) -> float | None:
    figure = rows.get(target.of, {}).get(target.figure)
    if figure is None or target.over is None:
        return figure
    over = rows.get(target.over, {}).get(target.over_figure or target.figure)
    return figure / over if over else None
