"""The modules that a file imports, read from its text."""

import ast
import pathlib
import re
from collections.abc import Iterator


def imported(root: pathlib.Path, path: pathlib.Path) -> Iterator[tuple[str, ...]]:
    """Every module of this project that the file imports, anywhere in it, as parts."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            yield from ((*base, alias.name) for alias in node.names)


def named_in_strings(path: pathlib.Path) -> Iterator[tuple[str, ...]]:
    """Every module of tests that a string of the file names, as parts.

    Programs in strings import them, and settings name what they build.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in re.findall(r"\btests(?:\.\w+)+", node.value):
                yield tuple(name.split("."))
