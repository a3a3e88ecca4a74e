"""The commands of the installed package: `alambic` and `alambic-launch`."""

import pathlib
import sys
from collections.abc import Sequence

TRAINER, _LAUNCHER = "alambic", "alambic-launch"
_INTERPRETERS = ("python", "python3")


def is_in_use() -> bool:
    """Whether this is `alambic-launch`, and not `python -m launch`."""
    return pathlib.PurePath(sys.argv[0]).name == _LAUNCHER


def as_started(text: str) -> str:
    """The text with the commands that it tells of named as this one was started."""
    if not is_in_use():
        return text
    text = text.replace("python -m launch", _LAUNCHER)
    return text.replace("python -m trainer", TRAINER)


def command(words: Sequence[str]) -> list[str]:
    """The words of a program; `alambic-launch` starts the trainer as `alambic`.

    No folder of the user's that is called trainer stands in for it then.
    """
    modules = [[name, "-m", "trainer"] for name in _INTERPRETERS]
    is_module = is_in_use() and [*words[:3]] in modules
    return [TRAINER, *words[3:]] if is_module else [*words]


def runnable(words: Sequence[str]) -> list[str]:
    """The words as they are run here, whether or not their environment is activated."""
    name, *others = command(words)
    if name in _INTERPRETERS:
        return [sys.executable, *others]
    return [_beside_this(), *others] if name == TRAINER else [name, *others]


def launcher() -> list[str]:
    """The words that start the launcher elsewhere as it was started here."""
    return [_LAUNCHER] if is_in_use() else ["python", "-m", "launch"]


def again() -> list[str]:
    """The words that start this launcher where its environment is at the same path."""
    return [sys.argv[0]] if is_in_use() else [sys.executable, "-m", "launch"]


def trainer() -> list[str]:
    """The words that start the trainer on this machine."""
    return [_beside_this()] if is_in_use() else [sys.executable, "-m", "trainer"]


def _beside_this() -> str:
    """The installed `alambic`; the one on PATH where none is beside this program."""
    beside = (pathlib.Path(sys.argv[0]).resolve(), pathlib.Path(sys.executable))
    found = (path.with_name(TRAINER) for path in beside)
    return next((str(path) for path in found if path.is_file()), TRAINER)
