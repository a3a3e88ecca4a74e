"""A checksum that a JSON file keeps of what it says, so that damage to it is found.

What belongs to other files is said with their checksums, and sealed with the rest.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from trainer import json_text

_SEAL = "checksum"


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object `value` with a checksum of all that it says."""
    return {**value, _SEAL: checksum(value)}


def is_sealed(value: Mapping[str, Any]) -> bool:
    """Whether there is a checksum, which earlier versions did not write."""
    return _SEAL in value


def parsed(content: bytes) -> dict[str, Any]:
    """What the text of a sealed JSON object says.

    Raises:
      ValueError: it is no JSON, or as `opened` does.
    """
    return opened(json_text.parsed(content))


def opened(value: Any) -> dict[str, Any]:
    """What a sealed object says; one without a checksum is taken as it is.

    Raises:
      ValueError: it is no object, or has changed since it was sealed.
    """
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    if not value:
        return {}
    said = dict(value)
    name, known = said.popitem()  # the last that was written
    if name == _SEAL and known == checksum(said):
        return said
    # Else the name of the checksum is damaged, or one is there that does not hold.
    if is_sealed(value) or known == checksum(said):
        raise ValueError("its checksum is another, so that it was changed or damaged")
    return dict(value)


def checksum(value: Any) -> str:
    """SHA-256 of what JSON keeps of a value, in whatever order its keys are."""
    # Keys become text before they are sorted, as whoever reads them has them.
    kept = json.loads(json.dumps(value))
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
