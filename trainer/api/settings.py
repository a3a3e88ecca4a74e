"""Settings that come from Python: dicts of the sections of a config file."""

import os
from collections.abc import Mapping
from typing import Any

from trainer.config import ConfigError

_LENGTHS = {"steps": "epochs", "epochs": "steps"}  # of a training: one of both


def plain(value: Any) -> Any:
    """A value as TOML has it: lists of tuples, texts of paths, numbers of NumPy's."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    return value


def listed(name: str, value: Any, *, example: str) -> list[Any]:
    """The items of the argument `name`.

    Raises:
      ConfigError: it is no list.
    """
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        raise ConfigError(
            f"{name} must be a list or a tuple, got {value!r}; write {name}={example}"
        )
    return list(value)


def section(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The settings of a section; none where it is absent.

    Raises:
      ConfigError: it is no section, or these are no sections.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(
            "config must be a dict of the sections of a config file, got "
            f"{settings!r}; a file goes to trainer.run"
        )
    found = settings.get(name, {})
    if not isinstance(found, Mapping):
        raise ConfigError(
            f"config[{name!r}] must be a dict of the section's settings, got "
            f"{found!r}; see docs/configuration.md"
        )
    return dict(found)


def merged(base: Mapping[str, Any], wins: Mapping[str, Any]) -> dict[str, Any]:
    """Both, section by section; where both have a setting, `wins` says it.

    Of two that exclude each other, a length in epochs and one in steps say, the base
    has none that the other brings.
    """
    result = {name: value for name, value in base.items() if name not in _gone(wins)}
    for name, value in wins.items():
        before = result.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            value = merged(before, value)
        result[name] = value
    return result


def _gone(wins: Mapping[str, Any]) -> set[str]:
    gone = {other for name, other in _LENGTHS.items() if name in wins}
    gone -= set(wins)
    if "terms" in wins:  # the long form of [distill]
        gone |= {"temperature", "alpha"} - set(wins)
    return gone
