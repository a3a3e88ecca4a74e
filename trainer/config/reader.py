"""TOML file and overrides to a checked Config."""

import copy
import dataclasses
import math
import pathlib
import sys
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from trainer.config.errors import ConfigError, header, nearest
from trainer.config.rules import OptionsOf
from trainer.config.schema import Config, EnsembleConfig, TeacherConfig
from trainer.config.study import Settings

_TYPE_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
}


def load(
    path: str, overrides: Iterable[str] = (), *, cell: Settings | None = None
) -> Config:
    """Reads `path`, applies each "section.field=value", checks, and builds the Config.

    With the settings of a `cell` it is that one run of the study.

    Raises:
      ConfigError: the file is missing or no TOML, or a setting breaks a rule.
    """
    settings = _read_toml(path)
    for override in overrides:
        _override(settings, override)
    if cell is not None:
        settings = _of_cell(settings, cell)
    try:
        config = typing.cast(Config, _build(Config, settings, ""))
        if config.study:
            for name, of_cell in config.study.cells.items():
                _check_cell(settings, name, of_cell)
            config.study.check_shared()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def _check_cell(settings: Settings, name: str, cell: Settings) -> None:
    try:
        _build(Config, _of_cell(settings, cell), "")
    except ConfigError as error:
        raise ConfigError(f"study.grid, cell {name}: {error}") from None


def _of_cell(settings: Settings, cell: Settings) -> dict[str, Any]:
    """The settings of a file as a cell of its study has them."""
    own = copy.deepcopy({k: v for k, v in settings.items() if k != "study"})
    for path, value in cell.items():
        _put(own, path.split("."), value, given=f"study.grid {path!r}")
    return own


def _read_toml(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"--config must name a readable TOML file, got {path!r}: {error.strerror}"
        ) from None
    # ValueError: no TOML, no UTF-8, or a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} must be a TOML file in UTF-8: {error}") from None


def _override(settings: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(
            f"--set must read section.field=value, got {override!r}; "
            "for example --set=distill.temperature=4.0"
        )
    _put(settings, names, _toml_value(path, text), given=f"--set={override}")


def _put(
    settings: dict[str, Any], names: Sequence[str], value: Any, *, given: str
) -> None:
    """Sets the setting with the path `names`; messages say where it was `given`."""
    table = settings
    for i, name in enumerate(names[:-1], start=1):
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            owner = ".".join(names[:i])
            raise ConfigError(
                f"{owner} must be a section for {given}, got {table!r}; "
                f"change it in the file or with --set={owner}=VALUE"
            )
    table[names[-1]] = value
    # Length has two units; the one given last on the command line holds.
    other = {"steps": "epochs", "epochs": "steps"}.get(names[-1])
    if other and names[-2:-1] in (["train"], ["head"], ["finetune"]):
        table.pop(other, None)


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


def _build(cls: type, settings: object, path: str, owner: str = "") -> Any:
    """An instance of the dataclass `cls` from a TOML table; `path` names the table.

    Options have an `owner`, as in "model 'mlp'", which messages name.
    """
    if not isinstance(settings, Mapping):
        raise _no_section(path, settings)
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for name in settings:
        if name not in fields:
            of = f" of {owner}" if owner else ""
            raise ConfigError(
                f"{_join(path, name)} is not a setting{of}; {nearest(name, fields)}"
            )
    values: dict[str, Any] = {}
    for name, field in fields.items():
        options = _options_rule(hints[name])
        if options:
            # The sibling that names the options comes first in the dataclass.
            owner = values[options.field]
            values[name] = _build_options(
                options, owner, settings.get(name, {}), path, name
            )
        elif name in settings:
            values[name] = _value(hints[name], settings[name], _join(path, name))
        elif field.default is not dataclasses.MISSING:
            values[name] = field.default
        else:
            setting = _join(path, name)
            raise ConfigError(
                f"{setting} is missing and has no default; "
                f"add it to the file or with --set={_settable(setting)}=VALUE"
            )
    return cls(**values)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _options_rule(hint: Any) -> OptionsOf | None:
    return next(
        (rule for rule in typing.get_args(hint)[1:] if isinstance(rule, OptionsOf)),
        None,
    )


def _build_options(
    rule: OptionsOf, owner: str, settings: object, path: str, name: str
) -> Any:
    options = _join(path, name)
    if owner in rule.table:
        return _build(rule.table[owner], settings, options, f"{rule.field} {owner!r}")
    if rule.field == "model" and ":" in owner:
        if not isinstance(settings, Mapping):
            raise _no_section(options, settings)
        _check_plain(settings, options)
        return dict(settings)  # a user's own model checks its own keyword arguments
    owned = " or package.module:function" if rule.field == "model" else ""
    raise ConfigError(
        f"{_join(path, rule.field)} must be a known name{owned}, got {owner!r}; "
        f"{nearest(owner, rule.table)}"
    )


def _value(hint: Any, value: object, path: str) -> Any:
    """`value` checked against a type hint, lists as tuples, whole numbers as floats."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        inner, *rules = typing.get_args(hint)
        checked = _value(inner, value, path)
        for rule in rules:
            if not rule.holds(checked):
                raise _broken(path, rule.text, value)
        return checked
    if origin is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise _broken(path, "one of " + ", ".join(map(repr, choices)), value)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _broken(path, "a list", value)
        item = typing.get_args(hint)[0]
        return tuple(_value(item, v, f"{path}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        return _axes(value, path)
    if origin is types.UnionType:
        return _value(_one_of(typing.get_args(hint), value, path), value, path)
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, path)
    if hint is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    if type(value) is not hint or (type(value) is float and not math.isfinite(value)):
        raise _broken(path, _TYPE_NAMES[hint], value)
    return value


def _one_of(sections: tuple[type, ...], value: object, path: str) -> type:
    """Of `Section | None` the section, of the teacher's two the one that `value` is."""
    first, other = sections
    is_ensemble = isinstance(value, Mapping) and "members" in value
    if other is not EnsembleConfig or not is_ensemble:
        return first
    fields = [field.name for field in dataclasses.fields(TeacherConfig)]
    beside = [name for name in fields if name in typing.cast(Mapping, value)]
    if beside:
        names = ", ".join(f"{path}.{name}" for name in beside)
        raise ConfigError(
            f"{path} must have either [[{path}.members]] or the settings of one "
            f"network, got {path}.members and {names}; write each network's settings "
            "into its member"
        )
    return other


def _axes(value: object, path: str) -> dict[str, tuple[Any, ...]]:
    """Lists by the paths of settings, which may be written as nested tables."""
    if not isinstance(value, Mapping):
        raise _no_section(path, value)
    axes: dict[str, tuple[Any, ...]] = {}
    for name, item in value.items():
        if isinstance(item, Mapping):
            inner = _axes(item, _join(path, name))
            found = {_join(name, end): values for end, values in inner.items()}
        elif isinstance(item, list):
            _check_plain(item, _join(path, name))
            found = {name: tuple(item)}
        else:
            raise _broken(_join(path, name), "a list", item)
        for axis in axes.keys() & found.keys():
            raise _broken(_join(path, axis), "written once", value)
        axes |= found
    return axes


def _check_plain(value: object, path: str) -> None:
    """Refuses what config.json cannot hold, or what would not equal itself."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_plain(item, _join(path, name))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_plain(item, f"{path}[{i}]")
    elif type(value) not in (str, int, bool) and not (
        type(value) is float and math.isfinite(value)
    ):
        raise _broken(path, "text, a finite number, true or false", value)


def _no_section(path: str, settings: object) -> ConfigError:
    written = f"[{header(path)}]"
    if path.endswith("]"):
        written = f"[{written}]"  # one of a list
    setting = _settable(path)
    way = f"{setting}=VALUE" if setting != path else f"{path}.FIELD=VALUE"
    return ConfigError(
        f"{path} must be a section, got {settings!r}; "
        f"write {written} in the file, or --set={way}"
    )


def _settable(path: str) -> str:
    """What --set takes to change the setting `path`: of a list the whole."""
    return path.partition("[")[0]


def _broken(path: str, rule: str, value: object) -> ConfigError:
    return ConfigError(
        f"{path} must be {rule}, got {value!r}; "
        f"change it in the file or with --set={_settable(path)}=VALUE"
    )
