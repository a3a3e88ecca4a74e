"""Sections built of settings as TOML has them: all that is wrong is found at once."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from trainer.config import hints, values
from trainer.config.axes import axes, check_plain
from trainer.config.errors import (
    ConfigError,
    join,
    nearest,
    no_section,
    settable,
)
from trainer.config.fields import (
    MISSING,
    Field,
    alternatives,
    chosen,
    fields_of,
    is_section,
    item_of,
    long_only,
    options_section,
    split,
)
from trainer.config.origins import are_related, named_in
from trainer.config.rules import OptionsOf, Reading

Settings = Mapping[str, Any]

_UNUSABLE: Any = object()  # stands for what could not be read


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """A setting that cannot be used, and the sentence on it."""

    path: str  # of the setting
    scope: str  # what it may have an effect on: it, or the section in which it is none
    text: str


class Builder:
    """Builds a section, and keeps what is wrong with its settings.

    In place of a setting that is wrong it goes on with the default, so that relations
    between the others are looked at too.
    """

    def __init__(self, root: type, settings: Settings) -> None:
        self._root = root
        self._settings = settings
        self.problems: list[Problem] = []  # of single settings
        self._relations: list[str] = []  # between several

    def build(self) -> Any:
        """The section; none that could be used where there are problems."""
        return self._section(self._root, self._settings, "")

    @property
    def relations(self) -> list[str]:
        """The problems of several settings, but for those that others bring about."""
        scopes = [problem.scope for problem in self.problems]
        return [
            text
            for text in self._relations
            if not any(are_related(scope, named_in(text)) for scope in scopes)
        ]

    def _tell(self, path: str, error: ConfigError, *, scope: str = "") -> Any:
        self.problems += [
            Problem(path=path, scope=scope or path, text=text)
            for text in error.problems
        ]
        return _UNUSABLE

    def _section(
        self,
        section: type,
        settings: object,
        path: str,
        rule: OptionsOf | None = None,
        owner: str = "",
    ) -> Any:
        """An instance of a dataclass; `path` names its table.

        By the `rule` it is of the options of a name, the `owner`.
        """
        if not isinstance(settings, Mapping):
            return self._tell(path, no_section(path, settings))
        fields = fields_of(section)
        for name in settings:
            if name not in fields:
                what = f"a setting of {rule.field} {owner!r}" if rule else "a setting"
                way = hints.way_out(
                    self._root, self._settings, path, name, fields, rule
                )
                text = f"{join(path, name)} is not {what}; {way}"
                self._tell(join(path, name), ConfigError(text), scope=path)
        found: dict[str, Any] = {}
        for name, field in fields.items():
            if field.options:
                found[name] = self._options(field, found, settings, path)
            elif name in settings:
                place = join(path, name)
                found[name] = self._value(field.hint, settings[name], place)
            else:
                found[name] = self._absent(field, settings, path)
        return self._instance(section, found)

    def _instance(self, section: type, found: dict[str, Any]) -> Any:
        fields = fields_of(section)
        for name in [name for name, value in found.items() if value is _UNUSABLE]:
            found[name] = fields[name].stand_in
            if rule := fields[name].options:
                # Options go with the name that has them.
                found[rule.field] = fields[rule.field].default
        if MISSING in found.values():
            return _UNUSABLE
        try:
            return section(**{fields[k].attribute: v for k, v in found.items()})
        except ConfigError as error:
            self._relations += error.problems
            return _UNUSABLE

    def _absent(self, field: Field, settings: Settings, path: str) -> Any:
        if field.implied and field.implied.applies(settings):
            return field.implied.value
        if field.default is not MISSING:
            return field.default
        setting = join(path, field.name)
        return self._tell(
            setting,
            ConfigError(
                f"{setting} is missing and has no default; "
                f"add it to the file or with --set={settable(setting)}=VALUE"
            ),
        )

    def _options(
        self, field: Field, found: Settings, settings: Settings, path: str
    ) -> Any:
        # The sibling that names the options comes first in the dataclass.
        rule = typing.cast(OptionsOf, field.options)
        owner, given = found[rule.field], settings.get(field.name, {})
        if owner is _UNUSABLE:
            return _UNUSABLE
        place = join(path, field.name)
        if not isinstance(owner, tuple):
            return self._options_of(rule, owner, given, path, place)
        # Several names, each of which has options.
        if not isinstance(given, Mapping):
            return self._tell(place, no_section(place, given))
        for name in given:
            if name not in owner:
                what = f"a setting of {rule.field} {list(owner)}"
                way = nearest(name, owner)
                text = f"{join(place, name)} is not {what}; {way}"
                self._tell(place, ConfigError(text))
        options = {
            one: self._options_of(rule, one, given.get(one, {}), path, f"{place}.{one}")
            for one in owner
        }
        return _UNUSABLE if _UNUSABLE in options.values() else options

    def _options_of(
        self, rule: OptionsOf, owner: str, settings: object, path: str, place: str
    ) -> Any:
        section = options_section(rule, owner)
        if section is None:
            return self._tell(
                join(path, rule.field), hints.unknown_name(rule, owner, path)
            )
        if section is not Any:
            return self._section(section, settings, place, rule, owner)
        if not isinstance(settings, Mapping):
            return self._tell(place, no_section(place, settings))
        # A user's own function checks its keyword arguments.
        return self._plain(dict(settings), place)

    def _plain(self, value: Any, path: str) -> Any:
        try:
            check_plain(value, path)
        except ConfigError as error:
            return self._tell(path, error)
        return value

    def _value(self, hint: Any, value: object, path: str) -> Any:
        """`value` checked against a type and its rules.

        Lists become tuples, whole numbers floats, and floats that are whole whole
        numbers where the type says so.
        """
        inner, rules = split(hint)
        if rules:
            return self._ruled(inner, rules, value, path)
        part = chosen(hint, value)
        if part is None:
            return self._refuse_kind(hint, value, path)
        origin = typing.get_origin(part)
        if origin is Literal:
            is_of_it = isinstance(value, str) and value in typing.get_args(part)
            return value if is_of_it else self._refuse_kind(hint, value, path)
        if part is not inner:
            return self._form(inner, part, value, path)
        if is_section(part):
            return self._section(part, value, path)
        if origin is tuple:
            return self._list(part, value, path)
        if origin is dict:
            return self._axes(part, value, path)
        if part is Any:
            return self._plain(value, path)
        return self._scalar(part, value, path)

    def _form(self, hint: Any, part: Any, value: object, path: str) -> Any:
        """One of several forms, which must not be mixed."""
        sections = alternatives(hint)
        if len(sections) == 2 and all(map(is_section, sections)):
            given = value if isinstance(value, Mapping) else {}
            of_long, of_short = (
                [f"{path}.{name}" for name in given if name in names]
                for names in long_only(sections)
            )
            if of_long and of_short:
                return self._tell(path, _mixed(path, sections[1], of_long, of_short))
        return self._value(part, value, path)

    def _scalar(self, kind: type, value: object, path: str) -> Any:
        read = value
        if type(value) in (int, float) and kind in (int, float):
            read = values.number(kind, typing.cast(float, value))
        if type(read) is not kind:
            return self._refuse_kind(kind, value, path)
        return self._plain(read, path)

    def _list(self, hint: Any, value: object, path: str) -> Any:
        if not isinstance(value, list):
            return self._refuse_kind(hint, value, path)
        item = item_of(hint)
        read = [self._value(item, v, f"{path}[{i}]") for i, v in enumerate(value)]
        return _UNUSABLE if _UNUSABLE in read else tuple(read)

    def _axes(self, hint: Any, value: object, path: str) -> Any:
        given = typing.get_args(hint)[1]
        try:
            flat = axes(value, path)
        except ConfigError as error:
            return self._tell(path, error)
        read = {
            axis: self._value(given, item, join(path, axis))
            for axis, item in flat.items()
        }
        return _UNUSABLE if _UNUSABLE in read.values() else read

    def _ruled(self, inner: Any, rules: Sequence[Any], value: object, path: str) -> Any:
        read = self._value(inner, value, path)
        if read is _UNUSABLE:
            return read
        for rule in rules:
            if isinstance(rule, Reading):
                try:
                    read = rule.read(read)
                except ConfigError as error:
                    self._relations += error.within(path).problems
                    return _UNUSABLE
            elif not rule.holds(read):
                return self._refuse(inner, rule.text, value, path, rule)
        return read

    def _refuse_kind(self, hint: Any, value: object, path: str) -> Any:
        return self._refuse(hint, values.described(hint), value, path)

    def _refuse(
        self, hint: Any, text: str, value: object, path: str, rule: Any = None
    ) -> Any:
        return self._tell(path, values.refusal(path, text, value, hint, rule))


def _mixed(
    path: str, long: type, of_long: Sequence[str], of_short: Sequence[str]
) -> ConfigError:
    key = next(iter(fields_of(long)))  # its list
    return ConfigError(
        f"{path} must have either [[{path}.{key}]] or its short form, got "
        f"{', '.join(of_long)} and {', '.join(of_short)}; remove one of both, or "
        f"set the whole section, as in --set='{path}={{{key}=[...]}}'"
    )
