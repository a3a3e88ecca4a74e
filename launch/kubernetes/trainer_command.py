"""The COMMAND of a job: one command of the trainer and its flags."""

import re
from collections.abc import Sequence

from launch import program
from launch.errors import LaunchError

_COMMANDS = (
    *("run", "teacher", "soft-targets", "student", "baseline", "finetune"),
    *("evaluate", "report", "crossval", "doctor", "study", "sweep", "watch"),
    *("export", "registry register"),
    *("soft-targets plan", "soft-targets build", "soft-targets verify"),
    *("soft-targets extend", "soft-targets info", "soft-targets import"),
    *("soft-targets ids", "track"),
)
# Paths may follow these.
_WITH_PATHS = ("predict", "soft-targets ids", "soft-targets verify")


def check(words: Sequence[str], *, launcher_flags: Sequence[str]) -> None:
    """Refuses what the trainer would refuse once the pods run.

    Raises:
      LaunchError: a word is a flag of the launcher, or the trainer has no such command.
    """
    for word in words:
        flag = re.match(r"--?([a-z-]+)", word)
        names = {flag[1], flag[1].removeprefix("no")} if flag else set()
        if names & set(launcher_flags) - set(program.TRAINER_FLAGS):
            raise LaunchError(
                f"COMMAND must not have {word}, a flag of the launcher: it would go to "
                "the program; write it before the --"
            )
    if program.is_trainer(words):
        _check_name(program.trainer_words(words))


def is_watch(words: Sequence[str]) -> bool:
    """Whether the command watches for images, in one workdir at all its starts."""
    return program.is_trainer(words) and program.trainer_words(words)[:1] == ["watch"]


def _check_name(names: Sequence[str]) -> None:
    if any(" ".join(names).startswith(f"{command} ") for command in _WITH_PATHS):
        return
    if " ".join(names) not in _COMMANDS:
        with_paths = ", ".join(f"{command} PATH" for command in _WITH_PATHS)
        raise LaunchError(
            "what follows -m trainer or alambic must be one of "
            f"{', '.join(_COMMANDS)}, {with_paths}, got {' '.join(names) or 'none'}"
        )
