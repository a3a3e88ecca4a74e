"""The commands of `python -m trainer`. Importing this loads no NumPy or TensorFlow."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

from trainer.commands import (
    config,
    doctor,
    predict,
    registry,
    report,
    stages,
    study,
    sweep,
    watch,
)
from trainer.commands.command_line import CommandLine, UsageError, define_flags, read
from trainer.commands.output import read_to_its_end
from trainer.exit_codes import DONE

__all__ = ["COMMANDS", "Command", "UsageError", "define_flags", "found", "run"]

_USAGE = f"""\
usage: python -m trainer COMMAND --config=FILE --workdir=DIR [--set=KEY=VALUE ...]

commands:
  run       every stage that the config asks for
  config    print the resolved config as JSON
  {", ".join(stages.NAMES)}
            that stage alone
  soft-targets ACTION
            of caches: {", ".join(stages.ACTIONS)}
  crossval  students that learn from all folds but one, measured on that one
  study     every cell of the config's [study]; one teacher, one table
  sweep     trials of the settings in [sweep.space]; the best one is tested
  export    a finished model as SavedModel, .keras and TFLite, and how exact they are
  registry ACTION
            register a finished model; list; show, promote NAME@VERSION; compare several
  predict PATH ...    classes of images, in files or folders, by the run in --workdir
  report DIR DIR ...  a page in --workdir that compares the runs in these workdirs
  watch     a student, evaluated and registered, whenever images without labels come
  doctor    whether a run can be done here, how fast, in what memory; trains nothing

flags:
  --config=FILE               the TOML file of the run
  --workdir=DIR               where the run's files go; a run started again goes on
  --set=section.field=VALUE   a setting in place of the file's; may be repeated
  --measure                   of doctor: finds the quickest way to compile the step
  --once                      of watch: looks once, and ends when too few have come
  --output=FILE               of predict: .csv or .jsonl; standard output without it
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """What is done, and how many words may follow its name."""

    run: Callable[[CommandLine], int]  # gives the exit code
    fewest: int = 0
    most: float = 0
    following: str = ""  # what those words are
    takes: str = ""  # a flag that is of this command alone


def _stages(*names: str) -> Command:
    return Command(run=functools.partial(stages.run, names))


def _registry(action: str, *, fewest: int = 0, most: float = 0) -> Command:
    return Command(
        run=functools.partial(registry.manage, action),
        fewest=fewest,
        most=most,
        following="two NAME@VERSION or more" if fewest > 1 else "one NAME@VERSION",
    )


COMMANDS: dict[str, Command] = {
    "config": Command(run=config.show),
    "run": _stages(*stages.NAMES),
    **{name: _stages(name) for name in stages.NAMES},
    **{
        f"soft-targets {action}": _stages(
            "soft-targets" if action == "build" else f"soft-targets {action}"
        )
        for action in stages.ACTIONS
    },
    "report": Command(run=report.write, most=math.inf, following="workdirs"),
    "crossval": _stages("crossval"),
    "doctor": Command(run=doctor.examine, takes="measure"),
    "study": Command(run=study.run),
    "sweep": Command(run=sweep.run),
    "watch": Command(run=watch.run, takes="once"),
    **{name: _stages(name) for name in stages.LEAVING},
    "registry list": _registry("list"),
    "registry show": _registry("show", fewest=1, most=1),
    "registry promote": _registry("promote", fewest=1, most=1),
    "registry compare": _registry("compare", fewest=2, most=math.inf),
    "predict": Command(
        run=predict.run,
        fewest=1,
        most=math.inf,
        following="images or folders of images",
        takes="output",
    ),
}
_LONGEST = max(len(name.split()) for name in COMMANDS)


def run(argv: Sequence[str]) -> int:
    """Does what the command line asks for; returns the exit code.

    Raises:
      UsageError: it asks for nothing that there is.
      StorageError: nobody reads any more what it prints.
    """
    with read_to_its_end():
        return _run(argv)


def _run(argv: Sequence[str]) -> int:
    line = read(argv)
    if line.flags.help:
        print(_USAGE, end="")
        return DONE
    command, words = found(line.words)
    for name, other in COMMANDS.items():
        if other.takes and line.flags[other.takes].value and other is not command:
            raise UsageError(
                f"--{other.takes} is of {name} alone, got {' '.join(line.words)}; "
                "leave it out"
            )
    return command.run(dataclasses.replace(line, words=words))


def found(words: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command that the first of the `words` name, and the words that follow.

    Raises:
      UsageError: there is none, or it takes fewer or more words.
    """
    name = _name(words)
    others = words[len(name.split()) :]
    command = COMMANDS.get(name)
    if command is None or (others and not command.most):
        raise UsageError(
            f"COMMAND must be one of {', '.join(COMMANDS)}, got "
            f"{' '.join(words) or 'none'}; see python -m trainer --help"
        )
    if not command.fewest <= len(others) <= command.most:
        raise UsageError(
            f"{name} must name {command.following}, got {' '.join(others) or 'none'}; "
            "see python -m trainer --help"
        )
    return command, others


def _name(words: Sequence[str]) -> str:
    """The longest name of a command that begins `words`; "" where none does."""
    names = (" ".join(words[:count]) for count in range(_LONGEST, 0, -1))
    return next((name for name in names if name in COMMANDS), "")
