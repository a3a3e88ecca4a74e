"""The config that a command of the trainer names: found, resolved, moved."""

import json
import os
import pathlib
import subprocess
from collections.abc import Sequence
from typing import Any

from launch import installed, program
from launch.errors import LaunchError

Settings = dict[str, Any]

# Configs that the trainer knows by their names.
_BUNDLED = pathlib.Path(__file__).parents[2] / "trainer" / "bundled"


def config_file(words: Sequence[str]) -> pathlib.Path:
    """The file that the command's one --config names.

    Raises:
      LaunchError: there is no such flag, or several.
    """
    found = program.flag_values(words, "config")
    if len(found) != 1:
        raise LaunchError(
            "COMMAND must have one --config=FILE, the TOML file of the run, got "
            f"{len(found)}; for example: -- python -m trainer run "
            "--config=configs/mnist_mini.toml"
        )
    # As the trainer does; a shell leaves the ~ of --config=~/run.toml.
    path = pathlib.Path(os.path.expanduser(found[0]))
    own = _BUNDLED / f"{path.name}.toml"
    is_name = not path.is_file() and path.name == found[0] and own.is_file()
    return own if is_name else path


def with_config(words: Sequence[str], path: str) -> tuple[str, ...]:
    """The command with `path` as its config file."""
    [(first, count, _)] = program.occurrences(words, "config")
    return (*words[:first], f"--config={path}", *words[first + count :])


def resolve(path: pathlib.Path, words: Sequence[str]) -> Settings:
    """Every setting of the file at `path` under the flags of a command.

    The trainer itself reads the file, in a process of its own.

    Raises:
      LaunchError: the trainer refuses the settings; the message has its words.
    """
    overrides = [
        f"--{flag}={value}"
        for flag in ("set", "unset")
        for value in program.flag_values(words, flag)
    ]
    child = subprocess.run(
        [*installed.trainer(), "config", f"--config={path}", *overrides],
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        raise LaunchError(
            f"python -m trainer config refuses the settings of COMMAND: "
            f"{child.stderr.strip().removeprefix('trainer: ')}"
        )
    settings: Settings = json.loads(child.stdout)
    return settings
