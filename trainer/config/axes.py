"""Settings that take several values: tables of them, by the paths of the settings."""

import math
from collections.abc import Mapping
from typing import Any

from trainer.config.errors import join, no_section, rule_error


def axes(value: object, path: str) -> dict[str, Any]:
    """Flattens the values given for settings, which may be written as nested tables.

    A table with a `low` or a `high` is given for one setting; `path` names the whole.

    Raises:
      ConfigError: there is no table, or a setting is in it twice.
    """
    if not isinstance(value, Mapping):
        raise no_section(path, value)
    given: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping) and not item.keys() & {"low", "high"}:
            inner = axes(item, join(path, name))
            found = {join(name, end): values for end, values in inner.items()}
        else:
            found = {name: item}
        for axis in given.keys() & found.keys():
            raise rule_error(join(path, axis), "written once", value)
        given |= found
    return given


def check_plain(value: object, path: str) -> None:
    """Refuses what files cannot hold, or what would not equal itself.

    Raises:
      ConfigError: it names the setting, which is `path` or below it.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            check_plain(item, join(path, name))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            check_plain(item, f"{path}[{i}]")
    elif type(value) is int and not -(2**63) <= value < 2**63:
        raise rule_error(path, "a whole number of 64 bits", value)
    elif isinstance(value, str) and "\0" in value:
        raise rule_error(path, "text without the character NUL", value)
    elif type(value) not in (str, int, bool) and not (
        type(value) is float and math.isfinite(value)
    ):
        raise rule_error(path, "text, a finite number, true or false", value)
