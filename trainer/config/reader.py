"""TOML file and overrides to a checked Config."""

import copy
import dataclasses
import math
import pathlib
import sys
import tomllib
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from trainer.config import bundled, places
from trainer.config.axes import axes, check_plain
from trainer.config.distill import DistillTermsConfig
from trainer.config.errors import (
    ConfigError,
    join,
    nearest,
    no_section,
    rule_error,
    settable,
)
from trainer.config.identity import flatten, resolve
from trainer.config.overrides import apply_override, put
from trainer.config.rules import OptionsOf, Reading, setting_name
from trainer.config.run_model import without_architectures
from trainer.config.schema import Config, EnsembleConfig
from trainer.config.study import Settings

_TYPE_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
}

# Sections that are written in two forms, by the list that only the long one has.
_LONG_FORMS: Mapping[type, str] = {
    EnsembleConfig: "members",
    DistillTermsConfig: "terms",
}


def load(
    path: str, overrides: Iterable[str] = (), *, variant: Settings | None = None
) -> Config:
    """Reads `path`, applies each "section.field=value", checks, and builds the Config.

    With the settings of a `variant` it is that one run of the study or of the sweep.

    Raises:
      ConfigError: the file is missing or no TOML, or a setting breaks a rule.
    """
    return of_settings(read_settings(path, overrides, variant=variant), origin=path)


def of_settings(settings: Settings, *, origin: str) -> Config:
    """Checks settings as TOML has them, and builds the Config.

    Raises:
      ConfigError: a setting breaks a rule; the message begins with their `origin`.
    """
    settings = without_architectures(settings)
    try:
        config = typing.cast(Config, _build(Config, settings, ""))
        if config.study:
            for name, of_variant in config.study.variants.items():
                _check_variant(settings, name, of_variant)
            config.study.check_shared()
        if config.sweep:
            config.sweep.axes(
                lambda variant: flatten(
                    resolve(_as_variant(settings, variant, "sweep.space"))
                )
            )
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    return config


def read_settings(
    path: str, overrides: Iterable[str] = (), *, variant: Settings | None = None
) -> dict[str, Any]:
    """The settings that `path` and the overrides write down, as TOML has them.

    With the settings of a `variant` they are those of that one run.

    Raises:
      ConfigError: the file is missing or no TOML, or a setting cannot be put into it.
    """
    settings = _read_toml(path)
    for override in overrides:
        apply_override(settings, override)
    if variant is None:
        return settings
    section = "sweep.space" if "sweep" in settings else "study.grid"
    try:
        return _variant_settings(settings, variant, section)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _check_variant(settings: Settings, name: str, variant: Settings) -> None:
    try:
        _as_variant(settings, variant, "study.grid")
    except ConfigError as error:
        raise ConfigError(f"study.grid, cell {name}: {error}") from None


def _as_variant(settings: Settings, variant: Settings, section: str) -> Config:
    return typing.cast(
        Config, _build(Config, _variant_settings(settings, variant, section), "")
    )


def _variant_settings(
    settings: Settings, variant: Settings, section: str
) -> dict[str, Any]:
    """The settings of a file as a variant of its study or its sweep has them."""
    others = ("study", "sweep")
    own = copy.deepcopy({k: v for k, v in settings.items() if k not in others})
    for path, value in variant.items():
        put(own, path.split("."), value, given=f"{section} {path!r}")
    return own


def _read_toml(path: str) -> dict[str, Any]:
    own = bundled.file_of(path)
    file = str(own) if own else places.expand_home(path)
    places.remember(file)
    try:
        settings = tomllib.loads(pathlib.Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        is_absent = isinstance(error, FileNotFoundError)
        known = nearest(pathlib.PurePath(path).stem, bundled.names())
        way_out = f"; of those that come with Alambic: {known}" if is_absent else ""
        raise ConfigError(
            "--config must name a readable TOML file, or a config that comes with "
            f"Alambic, got {path!r}: {error.strerror}{way_out}"
        ) from None
    # ValueError: no TOML, no UTF-8, or a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} must be a TOML file in UTF-8: {error}") from None
    if own:
        bundled.point_to_data(settings)
    return settings


def _build(cls: type, settings: object, path: str, owner: str = "") -> Any:
    """An instance of the dataclass `cls` from a TOML table; `path` names the table.

    Options have an `owner`, as in "model 'mlp'", which messages name.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {setting_name(field.name): field for field in dataclasses.fields(cls)}
    settings = _table(settings, path, fields, owner)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        hint = hints[field.name]
        if rule := _options_rule(hint):
            # The sibling that names the options comes first in the dataclass.
            owner, given = values[rule.field], settings.get(name, {})
            values[name] = _build_options(rule, owner, given, path, name)
        elif name in settings:
            values[field.name] = _value(hint, settings[name], join(path, name))
        elif field.default is not dataclasses.MISSING:
            values[field.name] = field.default
        else:
            setting = join(path, name)
            raise ConfigError(
                f"{setting} is missing and has no default; "
                f"add it to the file or with --set={settable(setting)}=VALUE"
            )
    return cls(**values)


def _table(
    settings: object, path: str, known: Collection[str], owner: str
) -> Mapping[str, Any]:
    """`settings`, where they are a table of `known` names."""
    if not isinstance(settings, Mapping):
        raise no_section(path, settings)
    for name in settings:
        if name not in known:
            what = f"a setting of {owner}" if owner else "a setting"
            raise ConfigError(
                f"{join(path, name)} is not {what}; {nearest(name, known)}"
            )
    return settings


def _options_rule(hint: Any) -> OptionsOf | None:
    return next(
        (rule for rule in typing.get_args(hint)[1:] if isinstance(rule, OptionsOf)),
        None,
    )


def _build_options(
    rule: OptionsOf, owner: Any, settings: object, path: str, name: str
) -> Any:
    options = join(path, name)
    if isinstance(owner, tuple):  # several names, each of which has options
        table = _table(settings, options, owner, f"{rule.field} {list(owner)}")
        return {
            one: _build_options(rule, one, table.get(one, {}), path, f"{name}.{one}")
            for one in owner
        }
    kind = rule.kind(owner)
    if kind in rule.table:
        return _build(rule.table[kind], settings, options, f"{rule.field} {owner!r}")
    if rule.own and ":" in owner:
        if not isinstance(settings, Mapping):
            raise no_section(options, settings)
        check_plain(settings, options)
        return dict(settings)  # a user's own function checks its keyword arguments
    owned = " or package.module:function" if rule.own else ""
    raise ConfigError(
        f"{join(path, rule.field)} must be a known name{owned}, got {owner!r}; "
        f"{nearest(owner, rule.table)}"
    )


def _value(hint: Any, value: object, path: str) -> Any:
    """`value` checked against a type hint, lists as tuples, whole numbers as floats."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _check_rules(typing.get_args(hint), value, path)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise rule_error(path, "one of " + ", ".join(map(repr, choices)), value)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise rule_error(path, "a list", value)
        item = typing.get_args(hint)[0]
        return tuple(_value(item, v, f"{path}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        given = typing.get_args(hint)[1]
        return {
            axis: _value(given, item, join(path, axis))
            for axis, item in axes(value, path).items()
        }
    if origin in (types.UnionType, typing.Union):
        return _value(_one_of(typing.get_args(hint), value, path), value, path)
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, path)
    if hint is Any:
        check_plain(value, path)
        return value
    if hint is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    if type(value) is not hint or (type(value) is float and not math.isfinite(value)):
        raise rule_error(path, _TYPE_NAMES[hint], value)
    check_plain(value, path)
    return value


def _check_rules(args: Sequence[Any], value: object, path: str) -> Any:
    """`value` checked against a type hint and the rules behind it."""
    inner, *rules = args
    checked = _value(inner, value, path)
    for rule in rules:
        if isinstance(rule, Reading):
            checked = rule.read(checked)
        elif not rule.holds(checked):
            raise rule_error(path, rule.text, value)
    return checked


def _one_of(sections: tuple[type, ...], value: object, path: str) -> type:
    """Chooses the section that `value` is of; the only one of `Section | None`."""
    kinds = [each for each in sections if each is not types.NoneType]
    first, other = kinds[0], kinds[-1]
    if typing.get_origin(other) is tuple and not isinstance(value, Mapping):
        if isinstance(value, list):
            return other
        if first is str:
            return first
        raise rule_error(
            path, "a list, or a range {low = NUMBER, high = NUMBER}", value
        )
    key = _LONG_FORMS.get(other)
    if key is None or not isinstance(value, Mapping):
        return first
    long, short = ({f.name for f in dataclasses.fields(c)} for c in (other, first))
    of_long, of_short = (
        [f"{path}.{name}" for name in value if name in names]
        for names in (long - short, short - long)
    )
    if of_long and of_short:
        raise ConfigError(
            f"{path} must have either [[{path}.{key}]] or its short form, got "
            f"{', '.join(of_long)} and {', '.join(of_short)}; remove one of both, or "
            f"set the whole section, as in --set='{path}={{{key}=[...]}}'"
        )
    return other if of_long else first
