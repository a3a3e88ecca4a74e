"""Where figures were measured."""

import os
import pathlib
import platform
from typing import Any


def machine() -> dict[str, Any]:
    """What tells this machine from others."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": platform.platform(),
    }


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
