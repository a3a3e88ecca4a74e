"""Text for standard output, with tables that fit the width of a terminal."""

import itertools
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence

_RULE = re.compile(r"-+( +-+)+")  # between the header of a table and its rows
_COMMAND = re.compile(" (?=(?:python -m trainer|alambic) )")
_Span = tuple[int, int]  # of a column


def show(text: str) -> None:
    """Prints the lines of `text`, if any; on a terminal none is wider than that."""
    if not text:
        return
    if sys.stdout.isatty():
        text = fold(text, os.get_terminal_size(sys.stdout.fileno()).columns)
    print(text)


def fold(text: str, width: int) -> str:
    """The text with wide tables in several parts, each with the first column.

    Other lines are broken between words, but for a command at their end.
    """
    lines = text.split("\n")
    if width < 1:  # of a terminal that does not tell
        return text
    return "\n".join(_folded(lines, width))


def _folded(lines: Sequence[str], width: int) -> Iterator[str]:
    i = 0
    while i < len(lines):
        rule = lines[i + 1] if i + 1 < len(lines) else ""
        if len(rule) > width and _RULE.fullmatch(rule):
            spans = [match.span() for match in re.finditer("-+", rule)]
            end = i + 2
            while end < len(lines) and _is_row(lines[end], spans):
                end += 1
            yield from _parts(lines[i:end], spans, width)
            i = end
        else:
            yield from _broken(lines[i], width)
            i += 1


def _broken(line: str, width: int) -> Iterator[str]:
    """The line in several, of which a command that ends it is one, to be pasted."""
    text, *command = _COMMAND.split(line, maxsplit=1) if len(line) > width else [line]
    yield from textwrap.wrap(
        text,
        width,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [""]
    yield from command


def _is_row(line: str, spans: Sequence[_Span]) -> bool:
    """Whether a line has its cells under those of the header."""
    gaps = itertools.pairwise(spans)
    are_blank = all(not line[end:begin].strip() for (_, end), (begin, _) in gaps)
    return are_blank and spans[-1][0] < len(line) <= spans[-1][1]


def _parts(rows: Sequence[str], spans: Sequence[_Span], width: int) -> Iterator[str]:
    name, *others = spans
    while others:
        count, used = 0, name[1]
        while count < len(others) and (
            not count or used + 2 + others[count][1] - others[count][0] <= width
        ):
            used += 2 + others[count][1] - others[count][0]
            count += 1
        shown, others = [name, *others[:count]], others[count:]
        for row in rows:
            cells = (row[begin:end].ljust(end - begin) for begin, end in shown)
            yield "  ".join(cells).rstrip()
        if others:
            yield ""
