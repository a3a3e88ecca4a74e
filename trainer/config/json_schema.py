"""The schema of config files in JSON Schema, by which editors complete and check them.

It says what single settings may be, and whose options they are; relations between
settings are the reader's alone. It is of draft 7, which editors of TOML know best.
Conditions stand in `dependencies`, where editors do not look for names to complete, and
sections stand where they are used: beside a reference a description does not count.
"""

import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from trainer.config.entries import meaning
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
from trainer.config.meanings import summary
from trainer.config.option_conditions import conditions, names_of, reference
from trainer.config.rules import OptionsOf, Rule
from trainer.config.schema import Config

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
_PLAIN = "plain"  # the definition of what a user's own function takes
_TYPES: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
}
# The words of rules that are of one type alone.
_OF_TYPE = {"minLength": "string", "minItems": "array", "minProperties": "object"}


def json_schema() -> Schema:
    """The schema of a whole file."""
    writer = _Writer()
    root = writer.section(Config)
    title = {"$schema": DRAFT, "title": "A run of Alambic"}
    return {**title, **root, "definitions": writer.definitions}


class _Writer:
    """Writes schemas, and keeps the definitions that they refer to."""

    def __init__(self) -> None:
        plain = reference(_PLAIN)
        whole = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
        self.definitions: Schema = {
            _PLAIN: {
                "anyOf": [
                    {"type": ["string", "boolean"]},
                    {"type": "number", "not": {"type": "integer"}},
                    whole,
                    {"type": "array", "items": plain},
                    {"type": "object", "additionalProperties": plain},
                ]
            }
        }

    def section(self, section: type) -> Schema:
        """The schema of a table with the fields of a dataclass."""
        fields = fields_of(section)
        properties = {
            name: self._field(section, field) for name, field in fields.items()
        }
        written: Schema = {
            "type": "object",
            "description": summary(section),
            "properties": properties,
            "additionalProperties": False,
        }
        needed = [
            name
            for name, field in fields.items()
            if field.default is MISSING and not (field.options or field.implied)
        ]
        if needed:
            written["required"] = needed
        for field in fields.values():
            if field.options:
                self._define(field.options.table.values())
                for key, all_of in conditions(field, fields).items():
                    name = f"{section.__name__}.{key}"
                    self.definitions.setdefault(name, {"allOf": all_of})
                    found = written.setdefault("dependencies", {})
                    found[key] = reference(name)
            if field.implied:
                sibling = {"type": "string", "pattern": f"^{field.implied.prefix}"}
                written["if"] = {
                    "properties": {field.implied.field: sibling},
                    "required": [field.implied.field],
                }
                written["else"] = {"required": [field.name]}
        return written

    def _define(self, sections: Iterable[type]) -> None:
        for section in dict.fromkeys(sections):
            self.definitions.setdefault(section.__name__, self.section(section))

    def _field(self, section: type, field: Field) -> Schema:
        owned = options_named_by(section, field.name)
        if field.options:
            written = _any_options(field.options)
        elif owned and owned.kind is str:
            written = names_of(owned, field)
        else:
            written = self._of(field.hint)
        told: Schema = {"description": meaning(section, field)}
        if isinstance(field.default, str | int | float | tuple):
            default = field.default
            told["default"] = list(default) if isinstance(default, tuple) else default
        return written | told

    def _of(self, hint: Any) -> Schema:
        inner, rules = split(hint)
        parts = alternatives(inner)
        if len(parts) > 1:
            written = self._union(parts)
        else:
            written = (
                self._single(parts[0]) if parts[0] is inner else self._of(parts[0])
            )
        for rule in rules:
            if isinstance(rule, Rule):
                written = {k: v for k, v in written.items() if k != "$ref"}
                kind = written.get("type")
                written |= {
                    k: v
                    for k, v in rule.schema.items()
                    if _OF_TYPE.get(k, kind) == kind
                }
        return written

    def _single(self, kind: Any) -> Schema:
        origin = typing.get_origin(kind)
        if kind in _TYPES:
            return {"type": _TYPES[kind]}
        if is_section(kind):
            return self.section(kind)
        if origin is Literal:
            return {"enum": list(typing.get_args(kind))}
        if origin is tuple:
            return {"type": "array", "items": self._of(item_of(kind))}
        if origin is dict:
            return self._axes(typing.get_args(kind)[1])
        return reference(_PLAIN)

    def _union(self, parts: Sequence[Any]) -> Schema:
        if not all(map(is_section, parts)):
            return {"anyOf": [self._of(part) for part in parts]}
        # The condition tells what is wrong; by the other editors complete.
        self._define(parts)
        short, long = (reference(part.__name__) for part in parts)
        of_long = fields_of(parts[1]).keys() - fields_of(parts[0]).keys()
        return {
            "anyOf": [short, long],
            "if": {"anyOf": [{"required": [name]} for name in sorted(of_long)]},
            "then": long,
            "else": short,
        }

    def _axes(self, values: Any) -> Schema:
        """Tables of values by the paths of settings, which may be nested."""
        parts = alternatives(values)
        [given] = [self._of(part) for part in parts if not is_section(part)]
        ranges = [self.section(part) for part in parts if is_section(part)]
        scalars = {str: "texts", float: "numbers"}
        name = "ranges" if ranges else scalars.get(split(values)[0], "lists")
        nested: Schema = reference(name)
        if ranges:
            ends = [{"required": [end]} for end in ("low", "high")]
            nested = {"if": {"anyOf": ends}, "then": ranges[0], "else": nested}
        table = {
            "type": "object",
            "additionalProperties": {
                "if": {"type": "object"},
                "then": nested,
                "else": given,
            },
        }
        self.definitions[name] = table
        return table


def _any_options(rule: OptionsOf) -> Schema:
    """All options there are, by which editors complete."""
    sections = dict.fromkeys(rule.table.values())
    written = [reference(section.__name__) for section in sections]
    # A user's own has any, and several names have theirs by their names.
    return {"type": "object", "anyOf": [*written, {"type": "object"}]}
