"""Single settings that are put into those of a file, such as --set's."""

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from trainer.config.errors import ConfigError, header, show_value


def apply_override(settings: dict[str, Any], override: str) -> None:
    """Puts one "section.field=value" of the command line into the settings.

    Raises:
      ConfigError: it is not written so, or names no section that there is.
    """
    path, equals, text = override.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(
            f"--set must read section.field=value, got {override!r}; "
            "for example --set=distill.temperature=4.0"
        )
    put(settings, names, _toml_value(path, text), given=f"--set={override}")


def put(
    settings: dict[str, Any], names: Sequence[str], value: Any, *, given: str
) -> None:
    """Sets the setting with the path `names`; messages say where it was `given`.

    Raises:
      ConfigError: the path leads through what is no section.
    """
    table = settings
    for i, name in enumerate(names[:-1], start=1):
        owner = ".".join(names[:i])
        table = _section(table, name, owner, given=given)
        if not isinstance(table, dict):
            raise ConfigError(
                f"{owner} must be a section for {given}, got {show_value(table)}; "
                f"change it in the file or with --set={owner}=VALUE"
            )
    table[names[-1]] = value
    # Length has two units; the one given last on the command line holds.
    other = {"steps": "epochs", "epochs": "steps"}.get(names[-1])
    if other and names[-2:-1] in (["train"], ["head"], ["finetune"]):
        table.pop(other, None)


def _section(table: dict[str, Any], name: str, owner: str, *, given: str) -> Any:
    """The section `name` of a table, or "name[i]": the one at a place of a list."""
    listed = re.fullmatch(r"(?P<name>[^\[\]]+)\[(?P<place>\d+)\]", name)
    if not listed:
        return table.setdefault(name, {})
    sections, place = table.get(listed["name"]), int(listed["place"])
    if isinstance(sections, list) and place < len(sections):
        return sections[place]
    raise ConfigError(
        f"{owner} must be in the file for {given}, got "
        f"{len(sections) if isinstance(sections, list) else 'no'} "
        f"[[{header(owner)}]]; add it there"
    )


def _toml_value(path: str, text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        table = {}
    if table.keys() != {"value"}:  # no TOML, or more than one value
        raise ConfigError(
            f"--set={path} must have a TOML value, got {text!r}; "
            f"a string needs its quotes: --set='{path}=\"{text}\"'"
        )
    return table["value"]
