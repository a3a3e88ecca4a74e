"""The commands of `python -m trainer`. Importing this loads no NumPy or TensorFlow."""

import dataclasses
import re
from collections.abc import Sequence

from trainer import __version__, console, tensorflow_log
from trainer.commands import usage
from trainer.commands.command_line import (
    HELP,
    CommandLine,
    UsageError,
    define_flags,
    read,
    refuse_setting,
)
from trainer.commands.output import read_to_its_end
from trainer.commands.table import (
    ALWAYS,
    COMMANDS,
    FAMILIES,
    RUN_FLAGS,
    Command,
    takers,
)
from trainer.config.errors import nearest
from trainer.exit_codes import DONE

__all__ = ["COMMANDS", "Command", "UsageError", "define_flags", "found", "run"]

_LONGEST = max(len(name.split()) for name in COMMANDS)


def run(argv: Sequence[str]) -> int:
    """Does what the command line asks for; returns the exit code.

    Raises:
      UsageError: it asks for nothing that there is.
      StorageError: nobody reads any more what it prints.
    """
    with read_to_its_end():
        line = read(argv)
        if line.flags.version:
            print(f"alambic {__version__}")
            return DONE
        if line.flags.help:
            print(console.as_started(_help(line.words)), end="")
            return DONE
        command, words = find_command(line.words)
        _check_flags(line, command)
        if line.flags.verbose:
            tensorflow_log.tell_all()
        else:
            console.prepare()
        name = _name(line.words)
        with tensorflow_log.hushed(f"{line.describe(name)}; loading TensorFlow"):
            return command.run(dataclasses.replace(line, words=words))


def find_command(words: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command that the first of the `words` name, and the words that follow.

    Raises:
      UsageError: there is none, or it takes fewer or more words.
    """
    name = _name(words)
    others = words[len(name.split()) :]
    command = COMMANDS.get(name)
    for word in others:
        refuse_setting(word, is_among_paths=bool(command and command.words))
    if command is None or (others and not command.words):
        raise _unknown_command(words)
    if not command.takes(len(others)):
        raise UsageError(
            f"{name} must come with {command.words}, got {' '.join(others) or 'none'}; "
            f"see python -m trainer {name} --help"
        )
    return command, others


def _help(words: Sequence[str]) -> str:
    if not words:
        return usage.page()
    name = _name(words)
    if not name and words[0] in FAMILIES:
        return usage.family_page(words[0])
    if not name:
        raise _unknown_command(words)
    return usage.command_page(name)


def _check_flags(line: CommandLine, command: Command) -> None:
    known = (*RUN_FLAGS, *ALWAYS)
    for flag in line.flags:
        # Those of a run go with every command, so that one line is edited into another.
        if line.flags[flag].value and flag not in (*known, *command.flags):
            raise UsageError(
                f"--{flag} is of {' and '.join(takers(flag))} alone, got "
                f"{' '.join(line.words)}; leave it out"
            )


def _unknown_command(words: Sequence[str]) -> UsageError:
    # What follows may be long paths, which no name is near to.
    names = [word for word in words[:_LONGEST] if re.fullmatch(r"[\w-]+", word)]
    return UsageError(
        f"COMMAND must be a known one, got {' '.join(words) or 'none'}; "
        f"{nearest(' '.join(names), COMMANDS)}; {HELP}"
    )


def _name(words: Sequence[str]) -> str:
    """The longest name of a command that begins `words`; "" where none does."""
    names = (" ".join(words[:count]) for count in range(_LONGEST, 0, -1))
    return next((name for name in names if name in COMMANDS), "")
