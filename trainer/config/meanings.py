"""The meanings of settings: the comments beside the fields of the dataclasses."""

import ast
import functools
import importlib
import inspect
import io
import tokenize
from collections.abc import Iterator, Mapping

from trainer.config.rules import setting_name


@functools.cache
def meanings(section: type) -> Mapping[str, str]:
    """The comment on each field of a dataclass, by the field's name; "" for none.

    It stands above the field, in lines of its own, or behind it.
    """
    found: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if "__dataclass_fields__" in vars(base):
            found |= _of_class(base.__module__, base.__name__)
    return found


def summary(section: type) -> str:
    """The sentence that opens the docstring of a dataclass."""
    paragraph = (inspect.getdoc(section) or "").partition("\n\n")[0]
    return " ".join(paragraph.split())


def _of_class(module: str, name: str) -> dict[str, str]:
    tree, comments, alone = _source(module)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {
                setting_name(field.target.id): _of_field(field, comments, alone)
                for field in node.body
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
            }
    return {}


def _of_field(
    field: ast.AnnAssign, comments: Mapping[int, str], alone: frozenset[int]
) -> str:
    first = field.lineno
    while first - 1 in alone:
        first -= 1
    last = field.end_lineno or field.lineno
    lines = (comments[line] for line in range(first, last + 1) if line in comments)
    return " ".join(lines)


@functools.cache
def _source(module: str) -> tuple[ast.Module, Mapping[int, str], frozenset[int]]:
    """The tree of a module, its comments by lines, and the lines of comments alone."""
    text = inspect.getsource(importlib.import_module(module))
    comments = dict(_comments(text))
    lines = text.splitlines()
    alone = frozenset(n for n in comments if lines[n - 1].lstrip().startswith("#"))
    return ast.parse(text), comments, alone


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#").strip()
