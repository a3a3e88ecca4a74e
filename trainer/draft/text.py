"""A first config as the text of a TOML file with comments."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.config.toml_text import value_text

_WIDTH = 88


def commented(
    settings: Mapping[str, Any], comments: Mapping[str, str], *, top: str
) -> str:
    """The `settings`, each below what `comments` has on its path; `top` comes first."""
    lines = [*_comment(top), *_lines(settings, comments, "")]
    return "\n".join(lines) + "\n"


def _lines(
    table: Mapping[str, Any], comments: Mapping[str, str], path: str
) -> Iterator[str]:
    inner = {k: v for k, v in table.items() if _is_section(k, v)}
    for name, value in table.items():
        if name not in inner:
            yield from _comment(comments.get(path + name, ""))
            yield f"{name} = {value_text(value)}"
    for name, section in inner.items():
        yield ""
        yield from _comment(comments.get(path + name, ""))
        yield f"[{path}{name}]"
        yield from _lines(section, comments, f"{path}{name}.")


def _is_section(name: str, value: object) -> bool:
    return isinstance(value, Mapping) and not name.endswith("options")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
