"""Settings that came later, and what earlier versions did without them.

A kept config that lacks one of them means the value below, which need not be today's
default. A section's own list is named with empty brackets: "teacher.members[].seed".
"""

import re
from collections.abc import Mapping
from typing import Any

LATER: Mapping[str, Any] = {
    "data.background": "ignore",
    "data.transfer_split": "",
    "predict.background": "",
    "teacher.members[].min_accuracy": 0.0,
    "teacher.min_accuracy": 0.0,
}


def value_before(path: str) -> tuple[Any, ...]:
    """The value that earlier versions had in place of a setting, or () for none."""
    name = re.sub(r"\[\d+\]", "[]", path)
    return (LATER[name],) if name in LATER else ()


def without_later(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out the later settings with which a run is as it was without them."""
    return {path: v for path, v in flat.items() if (v,) != value_before(path)}
