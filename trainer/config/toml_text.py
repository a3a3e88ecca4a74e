"""Settings as the text of a TOML file."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(settings: Mapping[str, Any]) -> str:
    """The tables of `settings` as TOML, which reads as the same settings again."""
    return "\n".join(_lines(settings, "")).strip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: str) -> Iterator[str]:
    inner = {name: value for name, value in table.items() if _is_inner(value)}
    for name, value in table.items():
        if name not in inner:
            yield f"{_key(name)} = {value_text(value)}"
    for name, value in inner.items():
        header = f"{path}.{_key(name)}" if path else _key(name)
        is_list = isinstance(value, list)
        for each in value if is_list else [value]:
            yield ""
            yield f"[[{header}]]" if is_list else f"[{header}]"
            yield from _lines(each, header)


def _is_inner(value: object) -> bool:
    """Whether it is a table, or a list of tables."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, Mapping) for item in value)
    return isinstance(value, Mapping)


def value_text(value: Any) -> str:
    """One value, a table as an inline one."""
    if isinstance(value, Mapping):
        parts = [f"{_key(name)} = {value_text(item)}" for name, item in value.items()]
        return f"{{{', '.join(parts)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, str):
        # JSON would write what is beyond its 16 bits in a way that TOML refuses.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else value_text(name)
