"""Ways out for names that are none: near ones, other words for one, other places."""

from collections.abc import Iterable, Mapping
from typing import Any

from trainer.config.errors import ConfigError, join, nearest
from trainer.config.fields import (
    Field,
    alternatives,
    chosen,
    fields_of,
    hint_at,
    is_list,
    is_section,
    item_of,
    split,
    walk,
)
from trainer.config.rules import OptionsOf
from trainer.config.synonyms import ELSEWHERE, SYNONYMS

_TOLD = 3  # places of a setting in a message
_CLOSE = 0.8  # of names in other sections


def way_out(
    root: type,
    settings: Mapping[str, Any],
    section: str,
    name: str,
    known: Mapping[str, Field],
    rule: OptionsOf | None = None,
) -> str:
    """The end of a message on `name`, which is none of the `known` in a section.

    `settings` are all that there are, of the dataclass `root`. By the `rule` the
    section is one of options, which other names may have.
    """
    word = name.lower().replace("-", "_")
    words = [*SYNONYMS.get(word, ()), word]
    told = f"known: {', '.join(sorted(known)) or 'none; remove it'}"
    if rule and (owners := _owners(words, rule)):
        return f"{rule.field} {' or '.join(owners)} has it; {told}"
    for meant in words:
        if meant in known:
            return f"did you mean {meant!r}?"
    if word in ELSEWHERE:
        return ELSEWHERE[word]
    if listed := _of_list(root, settings, section, words):
        return f"{listed}, in the long form of [{section}]"
    paths = [path for path, _ in walk(root, settings)]
    for meant in words:
        if found := _elsewhere(meant, paths, section):
            return f"did you mean {' or '.join(found)}?"
    listed = nearest(name, known)
    others = _near(word, map(_last, paths))
    if others and listed.startswith("known"):
        found = _elsewhere(others[0], paths, section)
        return f"did you mean {' or '.join(found)}?"
    return listed


def _of_list(
    root: type, settings: Mapping[str, Any], section: str, words: Iterable[str]
) -> str:
    """A sentence on the list of another form of a section that has the setting."""
    names = section.split(".") if section else []
    for part in alternatives(split(hint_at(root, settings, names))[0]):
        for name, field in fields_of(part).items() if is_section(part) else ():
            items = item_of(chosen(field.hint, [])) if is_list(field.hint) else None
            own = fields_of(items) if is_section(items) else {}
            for word in own.keys() & set(words):
                return f"[[{join(section, name)}]] has {word}"
    return ""


def unknown_name(rule: OptionsOf, name: str, path: str) -> ConfigError:
    """The message on a `name` that has no options, in the section `path`."""
    owned = " or package.module:function" if rule.own else ""
    return ConfigError(
        f"{join(path, rule.field)} must be a known name{owned}, got {name!r}; "
        f"{nearest(name, rule.table)}"
    )


def _owners(words: Iterable[str], rule: OptionsOf) -> list[str]:
    """The names that have one of the options, where the section's own has none."""
    return [
        repr(name)
        for name, section in rule.table.items()
        if any(word in fields_of(section) for word in words)
    ][:_TOLD]


def _near(word: str, names: Iterable[str]) -> list[str]:
    import difflib  # here, for settings without an error

    return difflib.get_close_matches(word, sorted(set(names)), n=1, cutoff=_CLOSE)


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _elsewhere(name: str, paths: Iterable[str], section: str) -> list[str]:
    """The settings of that name, those that are nearest to a section first."""
    found = [path for path in paths if _last(path) == name]
    shared = {path: _num_shared(path, section) for path in found}
    most = max(shared.values(), default=0)
    return [path for path in found if shared[path] == most][:_TOLD]


def _num_shared(path: str, section: str) -> int:
    """The number of names with which two paths begin alike."""
    pairs = zip(path.split("."), section.split("."), strict=False)
    count = 0
    for one, other in pairs:
        if one != other:
            break
        count += 1
    return count
