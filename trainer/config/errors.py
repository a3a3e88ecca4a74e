"""The error of a setting that cannot be used."""

import difflib
import re
from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting breaks a rule; the message names it, the rule, the value, a way out."""


def header(path: str) -> str:
    """What a TOML file names the section `path`; tables of a list share one name."""
    return re.sub(r"\[\d+\]", "", path)


def nearest(name: str, known: Iterable[str]) -> str:
    """The ending of a message about an unknown `name`: the nearest known, then all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    return f"{suggestion}known: {', '.join(names) or 'none; remove it'}"
