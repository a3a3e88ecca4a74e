"""Thousands of steps on all devices, in which no memory may grow."""

import os
import pathlib

from tests.benchmarks import ours
from tests.benchmarks.gpu import device_memory, pairs, placement, rates
from tests.benchmarks.gpu.findings import Findings
from tests.benchmarks.ready import resident_bytes
from tests.benchmarks.specs import FLOAT32

_PAIR = "W4"  # the smallest of a GPU's, of which the most steps fit in a minute
_STEPS, _SMALL_STEPS = 5_000, 250
_MARKS = 5  # of which the first, in which all is filled, does not count


def soak(
    findings: Findings, prepared: pathlib.Path, num_devices: int, *, small: bool
) -> None:
    """Memory after each fifth of the steps, with as many threads."""
    devices = placement.names(num_devices)
    every = pairs.chosen(small=small)
    pair = next(iter(every.values())) if small else every[_PAIR]
    workload = pairs.widened(pair, pair.batch_size * len(devices))
    strategy = placement.strategy(devices)
    session = rates.opened(workload, prepared, FLOAT32, strategy, "auto")
    learning, *_ = ours.prepared(session, workload)
    loop = session.config.runtime.steps_per_loop
    total = _SMALL_STEPS if small else _STEPS
    done = 0
    for mark in range(1, _MARKS + 1):
        while done < total * mark // _MARKS:
            count = min(loop, total * mark // _MARKS - done)
            learning.compiled.run(count)
            done += count
        findings.add(
            "soak",
            step=done,
            resident_bytes=resident_bytes(),
            device_bytes=[device_memory.held_bytes(each) for each in devices],
            threads=len(os.listdir("/proc/self/task")),
        )
