"""The text of JSON files: written for people, read with the rules of the standard."""

import json
import math
from typing import Any, NoReturn


def text(value: Any, *, indent: str = "") -> str:
    """`value` with objects one key a line, and lists of plain values on one line."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [
            f"{inner}{json.dumps(key)}: {text(item, indent=inner)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        lines = [inner + text(item, indent=inner) for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def parse(content: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
      ValueError: it is no JSON, is nested too deeply to be read, or has a number that
        is not finite, which Python's reader would take.
    """
    try:
        return json.loads(content, parse_float=_finite, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(str(error)) from None  # its repr has the whole content


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        _refuse(number)
    return value


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{number} is no finite number")
