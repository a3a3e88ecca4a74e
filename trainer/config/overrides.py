"""Single settings that are put into those of a file, such as --set's."""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from trainer.config import toml_words, values
from trainer.config.errors import ConfigError, gathering, header, nearest, show_value
from trainer.config.fields import alternatives, hint_at, names_at, split, walk
from trainer.config.toml_text import value_text


@dataclasses.dataclass(frozen=True)
class Unset:
    """A setting or section that is taken out of a file, by its path."""

    path: str


# "section.field=value", or what is taken out, which comes first.
Override = str | Unset


class _Word(str):
    """Text typed for a setting, until all settings are known that say its type."""


def typed(overrides: Iterable[Override]) -> dict[str, str]:
    """The flag of each override, by the path that it sets."""
    flags = {}
    for override in overrides:
        if isinstance(override, Unset):
            flags[override.path] = f"--unset={override.path}"
        else:
            flags[override.partition("=")[0].strip()] = f"--set={override}"
    return flags


def apply_overrides(
    settings: dict[str, Any], overrides: Iterable[Override], *, schema: type
) -> None:
    """Puts all that the command line says into the settings of a dataclass `schema`.

    A later one holds; what is unset goes first, so that it can be set anew.

    Raises:
      ConfigError: some are not written so, or name no section that there is; the
        others are in place.
    """
    overrides = list(overrides)
    with gathering() as gather:
        for override in overrides:
            if isinstance(override, Unset):
                gather(_take_out, settings, override.path, schema)
        words: list[list[str]] = []
        for override in overrides:
            if isinstance(override, str):
                gather(_apply, settings, override, words)
        for names in words:
            gather(_read_word, settings, names, schema)


def _take_out(settings: dict[str, Any], path: str, schema: type) -> None:
    names = path.split(".")
    if hint_at(schema, settings, names) is None:
        known = nearest(path, [known for known, _ in walk(schema, settings)])
        meant = known.partition("known")[0] or "python -m trainer config prints all"
        raise ConfigError(
            f"--unset must name a setting or a section, got {path!r}; {meant.strip()}"
        )
    table = _follow(settings, names[:-1])
    if table:
        table.pop(names[-1], None)


def _follow(settings: dict[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """The table at a path; None where there is none."""
    table: Any = settings
    for name in names:
        listed = _listed(name)
        table = table.get(listed[0] if listed else name)
        if listed:
            is_there = isinstance(table, list) and listed[1] < len(table)
            table = table[listed[1]] if is_there else None
        if not isinstance(table, dict):
            return None
    return typing.cast("dict[str, Any]", table)


def _apply(settings: dict[str, Any], override: str, words: list[list[str]]) -> None:
    path, equals, text = override.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(
            f"--set must read section.field=value, got {override!r}; "
            "for example --set=distill.temperature=4.0"
        )
    value = _toml_value(text)
    if not isinstance(value, dict | list | str):
        value = _Word(text.strip())
        words.append(names)
    put(settings, names, value, given=f"--set={override}")


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


def _listed(name: str) -> tuple[str, int] | None:
    found = re.fullmatch(r"(?P<name>[^\[\]]+)\[(?P<place>\d+)\]", name)
    return (found["name"], int(found["place"])) if found else None


def _section(table: dict[str, Any], name: str, owner: str, *, given: str) -> Any:
    """The section `name` of a table, or "name[i]": the one at a place of a list."""
    listed = _listed(name)
    if not listed:
        return table.setdefault(name, {})
    sections, place = table.get(listed[0]), listed[1]
    if isinstance(sections, list) and place < len(sections):
        return sections[place]
    raise ConfigError(
        f"{owner} must be in the file for {given}, got "
        f"{len(sections) if isinstance(sections, list) else 'no'} "
        f"[[{header(owner)}]]; add it there"
    )


def _toml_value(text: str) -> Any:
    """The value that a text is in TOML; None where it is none, or more than one."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return None
    return table["value"] if table.keys() == {"value"} else None


def _read_word(settings: dict[str, Any], names: Sequence[str], schema: type) -> None:
    """Reads what was typed for a setting as its type wants it.

    Where that is text alone, it needs no quotes.
    """
    table = _follow(settings, names[:-1])
    word = table.get(names[-1]) if table else None
    if table is None or not isinstance(word, _Word):
        return  # a later override has replaced it
    path, hint = ".".join(names), hint_at(schema, settings, names)
    known = names_at(schema, settings, names)
    value = str(word) if word in known else _as_wanted(word, hint)
    if value is None:
        del table[names[-1]]
        raise ConfigError(_no_value(path, word, hint))
    table[names[-1]] = value


def _as_wanted(word: _Word, hint: Any) -> Any:
    """The value that a word is for a setting of that type; None where it is none."""
    value = _toml_value(word)
    kinds = {_kind(part) for part in alternatives(split(hint)[0])}
    if value is None:
        is_text = toml_words.is_bare(word) and kinds & {str, None, Any}
        return str(word) if is_text else None
    is_text_alone = kinds == {str} and not isinstance(value, bool)
    return str(word) if is_text_alone else value


def _no_value(path: str, text: str, hint: Any) -> str:
    """The message on what is no TOML, for a setting whose type is `hint`."""
    is_nothing = toml_words.is_nothing(text)
    found = None if is_nothing else values.meant(hint, text)
    if found is not None:
        way = f"write {values.flag(path, found)}"
    elif is_nothing or _kind(hint) is not str:
        way = toml_words.way_out(text, unset=f"--unset={path}")
    else:
        way = ""
    if not way and _kind(hint) is str:
        way = f"a string needs its quotes: --set='{path}={value_text(text)}'"
    must = f": {values.described(hint)}" if hint is not None else ""
    way = way or f"write --set={path}=VALUE"
    return f"--set={path} must have a TOML value{must}, got {show_value(text)}; {way}"


def _kind(hint: Any) -> Any:
    """The kind of a setting's values: str also for one of several words."""
    inner = split(hint)[0]
    return str if typing.get_origin(inner) is Literal else inner
