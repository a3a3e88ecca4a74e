"""The program to start, and the flags that stand before it."""

import itertools
import pathlib
import re
from collections.abc import Sequence

from absl import flags

from launch import installed
from launch.errors import LaunchError

_NO_NUMBER = re.compile(r"flag --(\S+?)=(.*): (?:invalid literal|could not convert)")
TRAINER_FLAGS = (
    "config",
    "set",
    "unset",
    "workdir",
    "output",
    "part",
    "explain",
)  # each with a value


def parse(
    values: flags.FlagValues, argv: list[str], *, command: str, usage: str
) -> list[str] | None:
    """Reads the words before `--` into `values`; returns the program after it.

    A program named `python` or `python3` becomes the interpreter that runs this one,
    and `alambic` the one beside it, so that they find the same packages whether or not
    their environment is activated.

    Returns:
      The words of the program; None once --help has been answered.

    Raises:
      LaunchError: a flag is unknown or malformed, or there is no program.
    """
    flags.DEFINE_boolean("help", False, "show this help", flag_values=values)
    end = argv.index("--") if "--" in argv else len(argv)
    # The flags end at the first other word, so that those of a program stay its own.
    values.set_gnu_getopt(False)
    try:
        stray = values([command, *argv[:end]])[1:]
    except flags.Error as error:
        raise unusable_flag(error, command=command) from None
    if values.help:
        print(installed.as_started(usage), end="")
        return None
    if stray:
        raise LaunchError(
            f"python -m launch {command} takes flags before -- and the program after "
            f"it, got {' '.join(stray)} before"
        )
    words = argv[end + 1 :]
    if not words:
        raise LaunchError(
            f"python -m launch {command} needs a program after --, got none; for "
            f"instance: python -m launch {command} ... -- python -m trainer run ..."
        )
    return installed.runnable(words)


def is_trainer(words: Sequence[str]) -> bool:
    """Whether the program is the trainer, whose exit codes are known."""
    return _num_trainer_words(words) > 0


def _num_trainer_words(words: Sequence[str]) -> int:
    """The number of words before those to the trainer; 0 where it is another."""
    if words[:1] and pathlib.PurePath(words[0]).name == installed.TRAINER:
        return 1
    is_module = ("-m", "trainer") in itertools.pairwise(words)
    return words.index("trainer") + 1 if is_module else 0


def trainer_words(words: Sequence[str]) -> list[str]:
    """The words to the trainer that are no flags and no flags' values."""
    found = []
    before = ""
    for word in words[_num_trainer_words(words) :]:
        is_value = re.fullmatch(rf"--?({'|'.join(TRAINER_FLAGS)})", before)
        if not is_value and not word.startswith("-"):
            found.append(word)
        before = "" if is_value else word
    return found


def flag_values(words: Sequence[str], flag: str) -> list[str]:
    """The values that a command line gives `flag`: --flag=VALUE or --flag VALUE."""
    return [value for _, _, value in occurrences(words, flag)]


def occurrences(words: Sequence[str], flag: str) -> list[tuple[int, int, str]]:
    """Each occurrence: its first word, the number of its words, its value."""
    found = []
    for i, word in enumerate(words):
        # One dash is as good as two for the trainer's flags.
        if re.match(rf"--?{flag}=", word):
            found.append((i, 1, word.split("=", 1)[1]))
        elif re.fullmatch(rf"--?{flag}", word) and i + 1 < len(words):
            found.append((i, 2, words[i + 1]))
    return found


def check_for_group(words: Sequence[str], *, num_workers: int) -> None:
    """Looks whether so many workers can run the program together.

    Raises:
      LaunchError: it is a command of the trainer that one process runs.
    """
    if num_workers == 1 or not is_trainer(words):
        return
    reasons = {
        "sweep": "whose trials are trained by one process each; start it several times "
        "with the same --workdir: they share the trials",
        "watch": "where one process looks for images; it may have several GPUs",
    }
    name = "".join(trainer_words(words)[:1])
    if name in reasons:
        raise LaunchError(
            f"--workers must be 1 for python -m trainer {name}, got {num_workers}, "
            f"{reasons[name]}"
        )


def unusable_flag(error: flags.Error, *, command: str) -> LaunchError:
    """The message on a flag that is unknown or malformed."""
    no_number = _NO_NUMBER.match(str(error))
    said = (
        "--{} must be a number, got {!r}".format(*no_number.groups())
        if no_number
        else error
    )
    return LaunchError(f"{said}; see python -m launch {command} --help")


def unusable(name: str, error: OSError) -> LaunchError:
    """The message on a program that the system refuses to run."""
    return LaunchError(
        f"{name} cannot be run: {error.strerror}; the program after -- must be on PATH "
        "or the path of a file that may be executed"
    )
