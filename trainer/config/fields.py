"""Fields of sections, and the section or type that stands there for a value or name."""

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from trainer.config.rules import Implied, OptionsOf, Reading, setting_name

MISSING = dataclasses.MISSING  # the default of a setting that must be set

_LISTED = re.compile(r"(?P<name>[^\[\]]+)\[(?P<place>\d+)\]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """A setting of a section, or a section in it."""

    name: str
    attribute: str  # of the dataclass
    hint: Any  # of its values, with their rules; without those below
    default: Any
    options: OptionsOf | None  # where it has the options of what a sibling names
    implied: Implied | None  # where a sibling may say it

    @property
    def stand_in(self) -> Any:
        """The value to go on with where the one that is set cannot be used.

        A run without a section that has several forms is another run.
        """
        sections = alternatives(split(self.hint)[0])
        if self.default is None and len(sections) > 1:
            return MISSING
        return self.default


@functools.cache
def fields_of(section: type) -> Mapping[str, Field]:
    """The fields of a dataclass by their names, in its order."""
    hints = typing.get_type_hints(section, include_extras=True)
    return {
        setting_name(field.name): _field(field, hints[field.name])
        for field in dataclasses.fields(section)
    }


def _field(field: "dataclasses.Field[Any]", hint: Any) -> Field:
    inner, rules = split(hint)
    found = {
        kind: next((rule for rule in rules if isinstance(rule, kind)), None)
        for kind in (OptionsOf, Implied)
    }
    kept = [rule for rule in rules if rule not in found.values()]
    return Field(
        name=setting_name(field.name),
        attribute=field.name,
        hint=Annotated[(inner, *kept)] if kept else inner,
        default=field.default,
        options=typing.cast("OptionsOf | None", found[OptionsOf]),
        implied=typing.cast("Implied | None", found[Implied]),
    )


@functools.cache
def split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type hint, as files write it, without its rules, and these."""
    if typing.get_origin(hint) is Annotated:
        inner, *rules = typing.get_args(hint)
        written = (rule.written for rule in rules if isinstance(rule, Reading))
        return next(filter(None, written), inner), tuple(rules)
    return hint, ()


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of which a value may be; TOML has no None."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return tuple(p for p in typing.get_args(hint) if p is not types.NoneType)
    return (hint,)


def is_section(hint: Any) -> bool:
    """Whether values of the type are tables with the fields of a dataclass."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def is_list(hint: Any) -> bool:
    """Whether values of the type may be lists."""
    return typing.get_origin(chosen(hint, [])) is tuple


def item_of(hint: Any) -> Any:
    """The type of the items of a list."""
    return typing.get_args(hint)[0]


def long_only(sections: Sequence[type]) -> tuple[set[str], set[str]]:
    """The settings that only the long form of a section has, and only the short one.

    `sections` are the short and the long form.
    """
    short, long = (set(fields_of(section)) for section in sections)
    return long - short, short - long


def chosen(hint: Any, value: object) -> Any:
    """The one of a type's alternatives that `value` is of; None where it is of none."""
    parts = alternatives(split(hint)[0])
    if len(parts) == 1:
        return parts[0]
    if all(map(is_section, parts)):
        names = value.keys() if isinstance(value, Mapping) else set()
        return parts[bool(long_only(parts)[0] & names)]
    return next((part for part in parts if _fits(part, value)), None)


def _fits(hint: Any, value: object) -> bool:
    inner, _ = split(hint)
    origin = typing.get_origin(inner) or inner
    if origin is Literal:
        return isinstance(value, str)
    if origin in (int, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin is tuple:
        return isinstance(value, list)
    return isinstance(value, Mapping if is_section(origin) else origin)


def options_named_by(section: type, name: str) -> OptionsOf | None:
    """The options of which a setting says whose they are; None where it says none."""
    rules = (field.options for field in fields_of(section).values())
    return next((rule for rule in rules if rule and rule.field == name), None)


def options_section(rule: OptionsOf, owner: object) -> Any:
    """The dataclass of the options of the name `owner`.

    Any for the keyword arguments of a user's own function; None: there is no such name.
    """
    if not isinstance(owner, str):
        return None
    row = rule.row(owner)
    if row in rule.table:
        return rule.table[row]
    return Any if rule.own and ":" in owner else None


def sections_of_options(
    field: Field, siblings: Mapping[str, Field], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The sections of options by the names that own them, as a section says them.

    One that stands alone has the name "".
    """
    rule = field.options
    if rule is None:
        return {}
    owner = settings.get(rule.field, siblings[rule.field].default)
    if isinstance(owner, list | tuple):
        return {str(one): options_section(rule, one) for one in owner}
    return {"": options_section(rule, owner)}


def names_at(hint: Any, value: object, names: Sequence[str]) -> tuple[str, ...]:
    """The known names that a setting may have, where it says whose options hold."""
    section = chosen(hint_at(hint, value, names[:-1]), {})
    rule = options_named_by(section, names[-1]) if is_section(section) else None
    return tuple(rule.table) if rule else ()


def hint_at(hint: Any, value: object, names: Sequence[str]) -> Any:
    """The type of the setting at a path below `value`, which is of the type `hint`.

    None where there is no such setting; Any below what has no rules.
    """
    if not names:
        return hint
    part = chosen(hint, value)
    if not is_section(part):
        if typing.get_origin(part) is dict:
            return typing.get_args(part)[1]
        return Any if part is Any else None
    settings: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    listed = _LISTED.fullmatch(names[0])
    name = listed["name"] if listed else names[0]
    field = fields_of(part).get(name)
    if field is None:
        return None
    below, rest = settings.get(name), names[1:]
    if field.options:
        return _hint_of_option(field, part, settings, rest)
    if not listed:
        return hint_at(field.hint, below, rest)
    place = int(listed["place"])
    is_there = isinstance(below, list) and place < len(below)
    items = chosen(field.hint, [])
    if typing.get_origin(items) is not tuple:
        return None
    return hint_at(item_of(items), below[place] if is_there else {}, rest)  # type: ignore[index]


def _hint_of_option(
    field: Field, section: type, settings: Mapping[str, Any], names: Sequence[str]
) -> Any:
    found = sections_of_options(field, fields_of(section), settings)
    below = settings.get(field.name)
    if "" in found:
        return hint_at(found[""], below, names) if found[""] is not None else None
    if not names:
        return dict[str, Any]
    inner = below.get(names[0]) if isinstance(below, Mapping) else None
    return hint_at(found.get(names[0]), inner, names[1:])


def walk(hint: Any, value: object, path: str = "") -> Iterator[tuple[str, Field]]:
    """Each setting below `value` that may be set, by its path, as its names choose."""
    part = chosen(hint, value)
    if typing.get_origin(part) is tuple:
        items = value if isinstance(value, list) else []
        for i, item in enumerate(items):
            yield from walk(item_of(part), item, f"{path}[{i}]")
    if not is_section(part):
        return
    settings: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    for name, field in fields_of(part).items():
        below = f"{path}.{name}" if path else name
        yield below, field
        inner = settings.get(name)
        if not field.options:
            yield from walk(field.hint, inner, below)
            continue
        for owner, section in sections_of_options(
            field, fields_of(part), settings
        ).items():
            given = inner.get(owner) if owner and isinstance(inner, Mapping) else inner
            yield from walk(section, given, f"{below}.{owner}" if owner else below)
