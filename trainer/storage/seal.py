"""A checksum that a JSON file keeps of what it says, so that damage to it is found.

What belongs to other files is said with their checksums, and sealed with the rest.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from trainer.storage import json_text

_SEAL = "checksum"
_LIST = "list"  # in the first line of a list: a checksum of all lines without it


def add_checksum(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object `value` with a checksum of all that it says."""
    return {**value, _SEAL: checksum(value)}


def is_sealed(value: Mapping[str, Any]) -> bool:
    """Whether there is a checksum, which earlier versions did not write."""
    return _SEAL in value


def parse(content: bytes) -> dict[str, Any]:
    """Parses the text of a sealed JSON object and takes off its checksum.

    Raises:
      ValueError: it is no JSON, or as `check_checksum` does.
    """
    return check_checksum(json_text.parse(content))


def check_checksum(value: Any) -> dict[str, Any]:
    """Checks and takes off a checksum; an object without one stays as it is.

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


def add_list_checksum(first: str, digest: str) -> str:
    """The first of many JSON objects, one a line, with a checksum of all of them."""
    return json.dumps(json.loads(first) | {_LIST: digest}, ensure_ascii=False)


def take_off_list_checksum(first: str) -> tuple[str, str | None]:
    """The first line without the checksum of all, and that; None if it has none."""
    fields = json.loads(first)
    if _LIST not in fields:
        return first, None
    known = fields.pop(_LIST)
    return json.dumps(fields, ensure_ascii=False), known


def checksum(value: Any) -> str:
    """SHA-256 of what JSON keeps of a value, in whatever order its keys are."""
    # Keys become text before they are sorted, as whoever reads them has them.
    kept = json.loads(json.dumps(value))
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
