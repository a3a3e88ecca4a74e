"""The pages that --help shows: of the program, of a command, of commands alike."""

import re
import textwrap
from collections.abc import Iterable, Sequence

from trainer.commands.command_line import FLAGS
from trainer.commands.table import ALWAYS, COMMANDS, FAMILIES, RUN_FLAGS, takers
from trainer.exit_codes import CHECK_FAILED, EXIT_CODES

_PROGRAM = "python -m trainer"


def page() -> str:
    """The page of the program: a line for each command, flag and exit code."""
    return _join_blocks(
        [f"usage: {_PROGRAM} COMMAND [FLAG ...]"],
        ["commands:", *_rows(_overview())],
        ["flags, before or after the words:", *_flags(FLAGS, is_of_all=True)],
        ["exit codes:", *_codes()],
    )


def family_page(family: str) -> str:
    """The page of all commands whose names begin with a word."""
    return _join_blocks(
        [f"usage: {_PROGRAM} {family} ACTION [FLAG ...]"], _actions(family)
    )


def command_page(name: str) -> str:
    """The page of one command."""
    command = COMMANDS[name]
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    failed = f"exit code {CHECK_FAILED}: {EXIT_CODES[CHECK_FAILED].meaning}: "
    # A quoted value has spaces.
    example = re.findall(r"(?:'[^']*'|\S)+", command.example)
    return _join_blocks(
        [f"usage: {_PROGRAM} {_with_words(name)} [FLAG ...]"],
        [summary],
        ["flags:", *_flags((*command.flags, *ALWAYS))],
        _kept(command.free),
        [f"{failed}{command.check}"] if command.check else [],
        _actions(name) if name in FAMILIES else [],
        ["example:", " \\\n      ".join([f"  {_PROGRAM} {name}", *example])],
    )


def _join_blocks(*blocks: Sequence[str]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _rows(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return [f"  {name:{width}}  {text}" for name, text in rows]


def _overview() -> Iterable[tuple[str, str]]:
    for first in dict.fromkeys(name.split()[0] for name in COMMANDS):
        if first in COMMANDS:
            yield _with_words(first), COMMANDS[first].summary
        if first in FAMILIES:
            actions = (name.split()[1] for name in _members(first))
            yield f"{first} ACTION", f"{FAMILIES[first]}: {', '.join(actions)}"


def _members(family: str) -> list[str]:
    return [name for name in COMMANDS if name.startswith(f"{family} ")]


def _actions(family: str) -> list[str]:
    names = _members(family)
    rows = [(_with_words(name), COMMANDS[name].summary) for name in names]
    without = len(family) + 1
    return [f"{FAMILIES[family]}:", *_rows((row[without:], text) for row, text in rows)]


def _with_words(name: str) -> str:
    return f"{name} {COMMANDS[name].words}".strip()


def _flags(names: Iterable[str], *, is_of_all: bool = False) -> list[str]:
    rows = []
    for name in names:
        flag = FLAGS[name]
        own = [] if name in RUN_FLAGS or not is_of_all else takers(name)
        meaning = f"of {', '.join(own)}: {flag.meaning}" if own else flag.meaning
        rows.append((f"--{name}={flag.value}" if flag.value else f"--{name}", meaning))
    return _rows(rows)


def _kept(free: Sequence[str]) -> list[str]:
    """The lines on settings that a workdir keeps, of which the sections `free` change.

    None where a command needs a config.
    """
    if not free:
        return []
    told = "Without --config the settings are those in DIR/config.json, of which --set"
    return textwrap.wrap(f"{told} and --unset change {', '.join(free)}.", 86)


def _codes() -> list[str]:
    # No line ends between a code and what it tells.
    told = (f"{code}~{row.meaning.split(';')[0]}" for code, row in EXIT_CODES.items())
    lines = textwrap.wrap(", ".join(told), 86)
    return [f"  {line.replace('~', ' ')}" for line in lines]
