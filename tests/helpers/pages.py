"""Runs without a report: pages, which take seconds to draw, that no test looks at."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """In the body nothing is drawn, as where matplotlib is not installed."""
    modules: dict[str, Any] = sys.modules
    before = {name: modules[name] for name in ("matplotlib",) if name in modules}
    modules["matplotlib"] = None
    try:
        yield
    finally:
        del modules["matplotlib"]
        modules.update(before)


# A program that begins with this draws nothing.
HIDDEN = "import sys; sys.modules['matplotlib'] = None\n"
# Runs the module that is its first argument.
UNDRAWN = HIDDEN + (
    "import runpy; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
