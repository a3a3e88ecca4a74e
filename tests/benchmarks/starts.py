"""How long commands take that compute nothing."""

import statistics
import subprocess
import sys
import time
from typing import Any

from tests.benchmarks.targets import IMPORT, PRINT, START, Key

_IMPORT = """\
import time
started = time.perf_counter()
import trainer.config
print(time.perf_counter() - started)
"""
_PRINT = ("-m", "trainer", "config", "--config=configs/keras_mnist_cnn.toml")


def rows(rounds: int) -> dict[Key, dict[str, Any]]:
    """A row for each; medians of so many times, after one that warms the disk."""
    secs: dict[str, list[float]] = {IMPORT: [], PRINT: []}
    for _ in range(rounds + 1):
        secs[IMPORT].append(float(_output("-c", _IMPORT)))
        started = time.perf_counter()
        _output(*_PRINT)
        secs[PRINT].append(time.perf_counter() - started)
    return {
        (START, "", name): {
            "workload": START,
            "precision": "",
            "contender": name,
            "secs": statistics.median(each[1:]),
        }
        for name, each in secs.items()
    }


def _output(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
