"""The program to start, and the flags that stand before it."""

import sys

from absl import flags

from launch.errors import LaunchError

_INTERPRETERS = ("python", "python3")


def parse(
    values: flags.FlagValues, argv: list[str], *, command: str, usage: str
) -> list[str] | None:
    """Reads the words before `--` into `values`; returns the program after it.

    A program named `python` or `python3` becomes the interpreter that runs this one,
    so that it finds the same packages whether or not their environment is activated.

    Returns:
      The words of the program; None once --help has been answered.

    Raises:
      LaunchError: a flag is unknown or malformed, or there is no program.
    """
    flags.DEFINE_boolean("help", False, "show this help", flag_values=values)
    end = argv.index("--") if "--" in argv else len(argv)
    try:
        stray = values([command, *argv[:end]])[1:]
    except flags.Error as error:
        raise LaunchError(f"{error}; see python -m launch {command} --help") from None
    if values.help:
        print(usage, end="")
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
    return [sys.executable, *words[1:]] if words[0] in _INTERPRETERS else words


def unusable(name: str, error: OSError) -> LaunchError:
    """What to say of a program that the system refuses to run."""
    return LaunchError(
        f"{name} cannot be run: {error.strerror}; the program after -- must be on PATH "
        "or the path of a file that may be executed"
    )
