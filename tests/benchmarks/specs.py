"""What a contender's process is asked for."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.workloads import WORKLOADS, Workload

FLOAT32, BFLOAT16 = "float32", "mixed_bfloat16"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """One process: which contender, on which workload, how."""

    workload: str
    contender: str  # "ours", "keras" or its "search", "example", "floor" or "matmul"
    prepared: str  # the folder of tests/benchmarks/material.py
    precision: str = FLOAT32
    turn_secs: float
    label: str = ""  # tells contenders of a workload and precision apart
    num_workers: int = 1
    num_devices: int = 1  # of Keras; "ours" has runtime.logical_cpus in `settings`
    settings: Sequence[str] = ()  # more of them, of "ours"
    tuning: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of "keras"
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of Workload

    @property
    def work(self) -> Workload:
        """What it works on."""
        return dataclasses.replace(WORKLOADS[self.workload], **self.changes)

    @property
    def key(self) -> tuple[str, str, str]:
        """Names its row in the table."""
        return self.workload, self.precision, self.label or self.contender

    def text(self) -> str:
        """As JSON."""
        return json.dumps(dataclasses.asdict(self))
