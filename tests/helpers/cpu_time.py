"""Processor time, which other work on the machine does not lengthen much."""

import resource
import subprocess
import sys

from tests.helpers.repository import REPOSITORY


def cpu_secs(*words: str) -> float:
    """What a fresh interpreter takes of processors, the least of three times."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *words],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(3))
