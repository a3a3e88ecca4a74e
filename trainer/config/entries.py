"""All settings in words: name, type, default, unit, rule and meaning of each."""

import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from trainer.config.errors import ConfigError, join, nearest
from trainer.config.fields import (
    MISSING,
    Field,
    alternatives,
    fields_of,
    is_section,
    item_of,
    options_named_by,
    split,
)
from trainer.config.meanings import meanings, summary
from trainer.config.rules import OptionsOf, Rule
from trainer.config.schema import Config
from trainer.config.synonyms import SYNONYMS
from trainer.config.toml_text import value_text

_NAMED = 4  # owners of the same options in words
_DEFAULTS = "the defaults of its settings"

# By the ends of names, the longer ones first.
_UNITS: Mapping[str, str] = {
    "steps_per_execution": "steps",
    "steps_per_loop": "steps",
    "shuffle_window": "records",
    "calibration_examples": "examples",
    "batch_size": "examples",
    "image_size": "pixels a side",
    "max_pixels": "pixels",
    "padding": "pixels",
    "hidden_sizes": "units",
    "startup_trials": "trials",
    "_bytes": "bytes",
    "_secs": "seconds",
    "epochs": "epochs",
    "steps": "steps",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A setting or a section."""

    name: str  # its path; a section of a list is NAME[]
    owner: str  # the name whose option it is, as in "model 'mlp'"; "" for none
    type: str
    default: str  # as TOML writes it, or "must be set", "absent"
    unit: str  # "" where it has none
    rule: str  # "" where the type says all
    meaning: str

    @property
    def title(self) -> str:
        """The name, and whose option it is."""
        return f"{self.name}, of {self.owner}" if self.owner else self.name

    @property
    def text(self) -> str:
        """The entry in lines."""
        rows = {
            "type": self.type,
            "default": self.default,
            "unit": self.unit,
            "rule": self.rule,
        }
        told = [f"  {name:8} {value}" for name, value in rows.items() if value]
        return "\n".join([self.title, f"  {self.meaning}", *told])


def entries() -> list[Entry]:
    """Each setting of a config file once, in the order of the schema."""
    found = {(entry.name, entry.owner): entry for entry in _of_section(Config, "", "")}
    return list(found.values())


def explain(asked: str) -> str:
    """The entries of a setting, or of a section with a line on each setting in it.

    Raises:
      ConfigError: there is no such setting.
    """
    name = _plain(asked)
    found = [entry for entry in entries() if _plain(entry.name) == name]
    if not found:
        raise ConfigError(
            f"--explain must name a setting or a section, got {asked!r}; {_near(name)}"
        )
    below = [e for e in entries() if _plain(e.name).rpartition(".")[0] == name]
    width = max((len(entry.title) for entry in below), default=0)
    lines = [
        f"  {entry.title:{width}}  {entry.meaning.partition('. ')[0].rstrip('.')}"
        for entry in below
    ]
    blank = [""] if below else []
    return "\n".join([*(entry.text for entry in found), *blank, *lines])


def _plain(name: str) -> str:
    return re.sub(r"\[\d*\]", "", name)


def _near(name: str) -> str:
    names = [_plain(entry.name) for entry in entries()]
    last = name.rpartition(".")[2].lower()
    words = (last, *SYNONYMS.get(last, ()))
    same = [known for known in names if known.rpartition(".")[2] in words]
    if same:
        return f"did you mean {' or '.join(dict.fromkeys(same))}?"
    told, _, _ = nearest(name, names).partition("known")
    return told.strip() or f"sections: {', '.join(fields_of(Config))}"


def _of_section(section: type, path: str, owner: str) -> Iterator[Entry]:
    for field in fields_of(section).values():
        name = join(path, field.name)
        yield Entry(
            name=name,
            owner=owner,
            type="section" if field.options else _type(field.hint),
            default=_DEFAULTS if field.options else _default(field.default),
            unit=_unit(field),
            rule=_rule(field, section),
            meaning=meaning(section, field),
        )
        if field.options:
            yield from _of_options(field.options, name)
        else:
            yield from _below(field.hint, name, owner)


def _below(hint: Any, path: str, owner: str) -> Iterator[Entry]:
    for part in alternatives(split(hint)[0]):
        inner = split(part)[0]
        if is_section(inner):
            yield from _of_section(inner, path, owner)
        elif typing.get_origin(inner) is tuple and is_section(item_of(inner)):
            yield from _of_section(item_of(inner), f"{path}[]", owner)
        elif typing.get_origin(inner) is dict:
            yield from _below(typing.get_args(inner)[1], f"{path}.SETTING", owner)


def _of_options(rule: OptionsOf, path: str) -> Iterator[Entry]:
    owners: dict[type, list[str]] = {}
    for name, section in rule.table.items():
        owners.setdefault(section, []).append(name)
    for section, names in owners.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        told = ", ".join(map(repr, names[:_NAMED])) + more
        yield from _of_section(section, path, f"{rule.field} {told}")


def meaning(section: type, field: Field) -> str:
    """The meaning of a setting, as a sentence; of a section its own docstring's."""
    told = meanings(section).get(field.name, "")
    if not told:
        parts = map(split, alternatives(split(field.hint)[0]))
        sections = [inner for inner, _ in parts if is_section(inner)]
        told = " Or: ".join(map(summary, sections))
    sentence = told[:1].upper() + told[1:]
    return sentence if sentence.endswith((".", "?")) or not sentence else f"{sentence}."


def _type(hint: Any) -> str:
    parts = [split(part)[0] for part in alternatives(split(hint)[0])]
    return " or ".join(dict.fromkeys(map(_type_of, parts)))


def _type_of(kind: Any) -> str:
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        Any: "value",
    }
    if is_section(kind):
        return "section"
    if typing.get_origin(kind) is tuple:
        return f"list of {_type(item_of(kind))}s"
    if typing.get_origin(kind) is dict:
        scalars = {str: "texts", float: "numbers"}
        item = split(typing.get_args(kind)[1])[0]
        return f"table of {scalars.get(item, 'settings')}"
    return "text" if typing.get_origin(kind) is Literal else names[kind]


def _default(default: Any) -> str:
    if default is MISSING:
        return "must be set"
    if default is None:
        return "absent"
    if dataclasses.is_dataclass(default):
        return _DEFAULTS
    return value_text(default)


def _unit(field: Field) -> str:
    parts = [split(part)[0] for part in alternatives(split(field.hint)[0])]
    kinds = {item_of(p) if typing.get_origin(p) is tuple else p for p in parts}
    if not {int, float} & {split(kind)[0] for kind in kinds}:
        return ""
    return next((u for end, u in _UNITS.items() if field.name.endswith(end)), "")


def _rule(field: Field, section: type) -> str:
    options = options_named_by(section, field.name)
    return _names(options) if options else _rule_of(field.hint)


def _rule_of(hint: Any) -> str:
    inner, rules = split(hint)
    told = [rule.text for rule in rules if isinstance(rule, Rule)]
    parts = alternatives(inner)
    if len(parts) > 1 or parts[0] is not inner:
        told += [", or ".join(filter(None, map(_rule_of, parts)))]
    elif typing.get_origin(inner) is tuple and (of_each := _rule_of(item_of(inner))):
        told += [f"each {of_each}"]
    elif typing.get_origin(inner) is dict and (
        of_each := _rule_of(typing.get_args(inner)[1])
    ):
        told += [f"a table, each {of_each}"]
    elif typing.get_origin(inner) is Literal:
        told += ["one of " + ", ".join(map(value_text, typing.get_args(inner)))]
    return ", ".join(filter(None, told))


def _names(rule: OptionsOf) -> str:
    own = ["package.module:function"] if rule.own else []
    known = [
        f"{name}..." if name == rule.prefix else name
        for name in (rule.table if rule.kind is str else ())
    ]
    return "one of " + ", ".join([*map(value_text, known), *own]) if known else ""
