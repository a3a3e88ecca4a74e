"""How the cost of training grows with the batch, the student and the set."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.specs import Spec

_WORKLOAD = "W2"  # cached, so that the student's cost is no small share
_MOST = 1.1  # exponent of what still counts as linear
_BATCHES = (16, 64, 256)
_FILTERS = (16, 32, 64)  # of the student's first convolution; the second has twice
_SETS = (15_000, 60_000, 240_000)  # examples

_AS_IT_IS = "as it is"  # the workload of the table, which is one size of each


@dataclasses.dataclass(frozen=True, kw_only=True)
class Growth:
    """What a unit of work costs as one size grows."""

    name: str
    sizes: Sequence[int]
    costs: Sequence[float]  # seconds of as much work as the size says
    examples_per_sec: Sequence[float]

    @property
    def exponents(self) -> list[float]:
        """From each size to the next: cost grows as the size to that power."""
        pairs = zip(self.sizes, self.sizes[1:], strict=False)
        costs = zip(self.costs, self.costs[1:], strict=False)
        return [
            math.log(d / c) / math.log(b / a)
            for (a, b), (c, d) in zip(pairs, costs, strict=True)
        ]

    def is_super_linear(self, place: int) -> bool:
        """Whether the cost grew faster than the size to the one at `place`."""
        return self.exponents[place - 1] > _MOST


def specs(prepared: str, *, turn_secs: float) -> dict[str, Spec]:
    """The contenders, all of them ours, by what is changed."""
    changes: dict[str, dict[str, Any]] = {_AS_IT_IS: {}}
    for size in _BATCHES[::2]:
        changes[f"batch {size}"] = {"batch_size": size}
    for size in _FILTERS[1:]:
        changes[f"filters {size}"] = {"models": _models(size)}
    for size in _SETS[::2]:
        changes[f"set {size}"] = {"num_examples": size}
    return {
        label: Spec(
            workload=_WORKLOAD,
            contender="ours",
            prepared=prepared,
            turn_secs=turn_secs,
            label=label,
            changes=change,
        )
        for label, change in changes.items()
    }


def grown(rows: Mapping[str, Mapping[str, Any]]) -> list[Growth]:
    """From the row of each label of `specs` to what grows how."""
    unchanged = rows[_AS_IT_IS]
    batches = [rows.get(f"batch {size}", unchanged) for size in _BATCHES]
    filters = [rows.get(f"filters {size}", unchanged) for size in _FILTERS]
    sets = [rows.get(f"set {size}", unchanged) for size in _SETS]
    return [
        _growth("examples of a batch", _BATCHES, batches, _step_secs),
        _growth(
            "FLOPs of a step, by the student's width",
            [round(row["flops_per_sec"] / row["steps_per_sec"]) for row in filters],
            filters,
            _step_secs,
        ),
        _growth(
            "examples of the set, an epoch",
            _SETS,
            sets,
            lambda row, size: size / row["examples_per_sec"],
        ),
        _growth(
            "examples of the set, until the first step",
            _SETS,
            sets,
            lambda row, size: row["first_step_secs"],
        ),
    ]


def _step_secs(row: Mapping[str, Any], size: int) -> float:
    del size
    return 1 / row["steps_per_sec"]


def _growth(
    name: str,
    sizes: Sequence[int],
    rows: Sequence[Mapping[str, Any]],
    cost: Any,
) -> Growth:
    return Growth(
        name=name,
        sizes=sizes,
        costs=[cost(row, size) for row, size in zip(rows, sizes, strict=True)],
        examples_per_sec=[row["examples_per_sec"] for row in rows],
    )


def _models(filters: int) -> list[str]:
    return [
        *("teacher.model='cnn'", "teacher.options={filters=[256,512]}"),
        *(
            "student.model='cnn'",
            f"student.options={{filters=[{filters},{2 * filters}]}}",
        ),
    ]
