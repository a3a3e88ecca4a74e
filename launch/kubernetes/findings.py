"""Problems of a manifest, in sentences; and how rules look into its objects.

Whether an object has the types of its schema is for the cluster to check: a rule takes
what does not have them as absent.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Finding:
    """One rule that an object breaks."""

    where: str  # such as "TFJob demo"
    text: str
    is_error: bool = True  # a warning otherwise: it works, and may surprise

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def at(value: Any, *keys: str) -> Any:
    """The value that nested objects hold under `keys`; None where one is absent."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def table(value: Any, *keys: str) -> dict[str, Any]:
    """The object under `keys`; empty where it is absent."""
    found = at(value, *keys)
    return found if isinstance(found, dict) else {}


def items(value: Any, *keys: str) -> list[dict[str, Any]]:
    """The objects in the list under `keys`; none where it is absent."""
    found = at(value, *keys)
    return [i for i in found if isinstance(i, dict)] if isinstance(found, list) else []


def number(value: Any, *keys: str) -> int | None:
    """The whole number under `keys`; None where it is absent."""
    found = at(value, *keys)
    return found if isinstance(found, int) and not isinstance(found, bool) else None
