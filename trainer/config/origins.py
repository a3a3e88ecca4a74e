"""Places that settings come from: a file, or the command line."""

import dataclasses
import re
from collections.abc import Iterable, Mapping

_CHARACTERS = 80  # of what was typed, in a message
_NAME = r"[a-z][a-z0-9_]*(?:\[\d+\])?"
_PASSWORD = re.compile(r"(://[^/@:\s]*:)[^@\s]+@")
_QUOTED = re.compile(r"(?<![a-z])'[^']*'")  # a value, and no possessive
_DOTTED = re.compile(rf"{_NAME}(?:\.{_NAME})+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origins:
    """The file of settings, and what the command line has put in their places."""

    file: str
    typed: Mapping[str, str] = dataclasses.field(default_factory=dict)  # by paths

    def of_setting(self, path: str) -> str:
        """The flag or the file that says one setting, or a section that it is in."""
        for given, text in reversed(list(self.typed.items())):
            if is_within(path, given) or is_within(given, path):
                return shorten(text)
        return self.file

    def of_relation(self, text: str) -> str:
        """The file, with the flags of the settings that a sentence names."""
        named = named_in(text)
        flags = {p: t for p, t in self.typed.items() if are_related(p, named)}
        is_of_flags = all(any(is_within(n, path) for path in flags) for n in named)
        files = [] if named and is_of_flags else [self.file]
        return " with ".join([*files, *map(shorten, dict.fromkeys(flags.values()))])


def shorten(text: str) -> str:
    """The typed text, without the password of an address, cut where it is long."""
    text = _PASSWORD.sub(r"\1...@", text)
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}..."


def named_in(text: str) -> list[str]:
    """The paths of settings in a sentence, whose first word may be one."""
    text = _QUOTED.sub("", text)
    first = re.match(rf"\[?(?:--(?:un)?set=)?({_NAME})(?![.\w])", text)
    return [*_DOTTED.findall(text), *([first[1]] if first else [])]


def are_related(path: str, others: Iterable[str]) -> bool:
    """Whether a setting is one of others, in one of them, or the reverse."""
    return any(is_within(path, other) or is_within(other, path) for other in others)


def is_within(path: str, section: str) -> bool:
    """Whether a setting is a section, or in it."""
    return path == section or path.startswith((f"{section}.", f"{section}["))
