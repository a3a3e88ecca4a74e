"""What the COMMAND of a job may hold: one command of the trainer and its flags."""

import itertools
import re
from collections.abc import Sequence

from launch.errors import LaunchError

_COMMANDS = (
    *("run", "teacher", "soft-targets", "student", "baseline", "finetune"),
    *("evaluate", "report", "crossval", "doctor", "study", "sweep", "watch"),
    *("export", "registry register"),
    *("soft-targets plan", "soft-targets build", "soft-targets verify"),
    *("soft-targets extend", "soft-targets info"),
)
_WITH_PATHS = ("predict",)  # named after the command
_VALUE_FLAGS = ("config", "set", "workdir", "output")  # of the trainer


def check(words: Sequence[str], *, launcher_flags: Sequence[str]) -> None:
    """Refuses what the trainer would refuse once the pods run.

    Raises:
      LaunchError: a word is a flag of the launcher, or the trainer has no such command.
    """
    for word in words:
        flag = re.match(r"--?([a-z-]+)", word)
        names = {flag[1], flag[1].removeprefix("no")} if flag else set()
        if names & set(launcher_flags) - set(_VALUE_FLAGS):
            raise LaunchError(
                f"COMMAND must not have {word}, a flag of the launcher: it would go to "
                "the program; write it before the --"
            )
    if "trainer" in words and words[words.index("trainer") - 1] == "-m":
        _check_name(_others(words[words.index("trainer") + 1 :]))


def is_watch(words: Sequence[str]) -> bool:
    """Whether the command watches for images, in one workdir at all its starts."""
    return ("trainer", "watch") in itertools.pairwise(words)


def _others(words: Sequence[str]) -> list[str]:
    """The words that are neither flags nor their values."""
    found = []
    before = ""
    for word in words:
        is_value = re.fullmatch(rf"--?({'|'.join(_VALUE_FLAGS)})", before)
        if not is_value and not word.startswith("-"):
            found.append(word)
        before = "" if is_value else word
    return found


def _check_name(names: Sequence[str]) -> None:
    if names[:1] and names[0] in _WITH_PATHS and names[1:]:
        return
    if " ".join(names) not in _COMMANDS:
        with_paths = ", ".join(f"{command} PATH" for command in _WITH_PATHS)
        raise LaunchError(
            f"what follows -m trainer must be one of {', '.join(_COMMANDS)}, "
            f"{with_paths}, got {' '.join(names) or 'none'}"
        )
