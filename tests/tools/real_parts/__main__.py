"""Tries the project with a real system on this machine.

    python -m tests.tools.real_parts slurm
    python -m tests.tools.real_parts gcs
    python -m tests.tools.real_parts kubernetes CRDS ...

Each system is set up in a temporary folder, takes nothing from the machine, and is
taken down at the end. A line tells of each part, the last lines are a table.
"""

import importlib
import sys
from collections.abc import Sequence

# Loaded when chosen: each has a `main(words)` that returns the exit code.
MODULES = {
    "slurm": "tests.tools.real_parts.slurm",
    "gcs": "tests.tools.real_parts.gcs",
    "kubernetes": "tests.tools.real_parts.kubernetes",
}


def main(words: Sequence[str]) -> int:
    """Runs the system that the first word names, with the words after it."""
    name = words[0] if words else "none"
    if name not in MODULES:
        print(
            f"real_parts: the system must be one of {', '.join(MODULES)}, got {name}",
            file=sys.stderr,
        )
        return 2
    return importlib.import_module(MODULES[name]).main(words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
