"""The error of a setting that cannot be used."""

import re
from collections.abc import Iterable

_CHARACTERS = 200  # of a value in a message
_NAMES = 5  # in a message

# What other programs have among augmentations, or as settings of the data.
_MIXING = ("mixup", "cutmix")


class ConfigError(ValueError):
    """A setting breaks a rule; the message names it, the rule, the value, a way out."""


def header(path: str) -> str:
    """The name of the section `path` in a TOML file; tables of a list share one."""
    return re.sub(r"\[\d+\]", "", path)


def nearest(name: str, known: Iterable[str]) -> str:
    """The ending of a message about an unknown `name`: the nearest known, then all."""
    import difflib  # here, for settings without an error

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    if name in _MIXING:
        suggestion = (
            f"it is a share of a training's pairs: student.train.{name} = 0.5; "
        )
    return f"{suggestion}known: {', '.join(names) or 'none; remove it'}"


def some_names(names: Iterable[object]) -> str:
    """The first of some names or numbers, and how many more there are."""
    every = list(map(str, names))
    shown = ", ".join(every[:_NAMES]) or "none"
    return shown + (f" and {len(every) - _NAMES} more" if len(every) > _NAMES else "")


def join(path: str, name: str) -> str:
    """The path of the setting `name` in the section `path`."""
    return f"{path}.{name}" if path else name


def no_section(path: str, settings: object) -> ConfigError:
    """Says that the `settings` that came for the section `path` are none."""
    written = f"[{header(path)}]"
    if path.endswith("]"):
        written = f"[{written}]"  # one of a list
    setting = settable(path)
    way = f"{setting}=VALUE" if setting != path else f"{path}.FIELD=VALUE"
    return ConfigError(
        f"{path} must be a section, got {show_value(settings)}; "
        f"write {written} in the file, or --set={way}"
    )


def settable(path: str) -> str:
    """The setting that --set takes to change `path`: of a list the whole list."""
    return path.partition("[")[0]


def show_value(value: object) -> str:
    """A value in a message: as Python writes it, and cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number of thousands of digits"
    if len(text) <= _CHARACTERS:
        return text
    return f"{text[:_CHARACTERS]}... ({len(text)} characters)"


def rule_error(path: str, rule: str, value: object) -> ConfigError:
    """Says that the setting `path` "must be" + `rule`, and is not: it is `value`."""
    return ConfigError(
        f"{path} must be {rule}, got {show_value(value)}; "
        f"change it in the file or with --set={settable(path)}=VALUE"
    )
