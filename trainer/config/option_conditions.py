"""Conditions in JSON Schema: which options go with which name."""

from collections.abc import Mapping
from typing import Any

from trainer.config.fields import MISSING, Field, alternatives, fields_of, split
from trainer.config.rules import OptionsOf

Schema = dict[str, Any]

_OWN: Schema = {"type": "string", "pattern": ":"}  # package.module:function


def reference(definition: str) -> Schema:
    """A schema that is defined elsewhere."""
    return {"$ref": f"#/definitions/{definition}"}


def names_of(rule: OptionsOf, field: Field) -> Schema:
    """The known names, one of which the field has, or several in a list."""
    known: Schema = {"enum": [name for name in rule.table if name != rule.prefix]}
    written: list[Schema] = [known]
    if rule.own:
        written.append(_OWN)
    if len(alternatives(split(field.hint)[0])) > 1:
        written.append({"type": "array", "items": known})
    return {"anyOf": written} if len(written) > 1 else known


def conditions(field: Field, siblings: Mapping[str, Field]) -> dict[str, list[Schema]]:
    """The conditions where the options `field` is set, or the name that has them."""
    rule = field.options
    if rule is None:
        return {}
    owner = siblings[rule.field]
    if rule.kind is not str:
        return {field.name: _by_patterns(rule, field.name)}
    found: dict[str, list[Schema]] = {field.name: [], rule.field: []}
    for section, names in _owners(rule).items():
        is_default = owner.default in names
        named: Schema = {"enum": names}
        if names == [rule.prefix]:
            named = {"type": "string", "pattern": f"^{rule.prefix}"}
        is_named = _is(rule.field, named, needs=not is_default)
        then = _has(field.name, reference(section.__name__))
        found[field.name].append({"if": is_named, "then": then})
        needed = [one.default is MISSING for one in fields_of(section).values()]
        if any(needed):
            then = {"required": [field.name]}
            found[rule.field].append({"if": is_named, "then": then})
        if owner.implied and owner.implied.value in names:
            absent = {"not": {"required": [rule.field]}}
            then = _has(field.name, reference(section.__name__))
            found[field.name].append({"if": absent, "then": then})
    found[field.name] += _by_lists(rule, field.name)
    return {key: all_of for key, all_of in found.items() if all_of}


def _owners(rule: OptionsOf) -> dict[type, list[str]]:
    owners: dict[type, list[str]] = {}
    for name, section in rule.table.items():
        owners.setdefault(section, []).append(name)
    return owners


def _is(name: str, schema: Schema, *, needs: bool = True) -> Schema:
    found: Schema = {"properties": {name: schema}}
    return found | {"required": [name]} if needs else found


def _has(name: str, schema: Schema) -> Schema:
    return {"properties": {name: schema}}


def _by_lists(rule: OptionsOf, options: str) -> list[Schema]:
    """Each of several names has its options by itself, and no other name has any."""
    is_list = _is(rule.field, {"type": "array"})
    by_name = {n: reference(section.__name__) for n, section in rule.table.items()}
    table = {"type": "object", "properties": by_name, "additionalProperties": False}
    own: Schema = {"type": "object", "additionalProperties": reference("plain")}
    found = [{"if": is_list, "then": _has(options, table)}]
    if rule.own:
        return [{"if": _is(rule.field, _OWN), "then": _has(options, own)}]
    for name in rule.table:
        absent = {"type": "array", "not": {"contains": {"const": name}}}
        then = _has(options, {"properties": {name: False}})
        found.append({"if": _is(rule.field, absent), "then": then})
    return found


def _by_patterns(rule: OptionsOf, options: str) -> list[Schema]:
    """Options by what names begin with; those of no pattern have none."""
    own: Schema = {"type": "object", "additionalProperties": reference("plain")}
    found: list[Schema] = []
    for kind, pattern in rule.patterns.items():
        given = reference(rule.table[kind].__name__) if kind else own
        is_kind = _is(rule.field, {"type": "string", "pattern": pattern})
        found.append({"if": is_kind, "then": _has(options, given)})
    others = {"not": {"anyOf": [{"pattern": p} for p in rule.patterns.values()]}}
    then = _has(options, {"type": "object", "additionalProperties": False})
    return [*found, {"if": _is(rule.field, others), "then": then}]
