"""The command line: `python -m trainer COMMAND --config=FILE --workdir=DIR`."""

import json
import pathlib
import sys
from collections.abc import Callable

from absl import flags, logging

from trainer import cluster, config, console, files

DONE, BUG, UNUSABLE, DIVERGED, INTERRUPTED = 0, 1, 2, 3, 130

STAGE_NAMES = ("teacher", "student", "baseline", "evaluate", "report")

_USAGE = f"""usage: python -m trainer COMMAND --config=FILE [--workdir=DIR] [--set=KEY=VALUE ...]

commands:
  run       every stage: {", ".join(STAGE_NAMES)}
  config    print the resolved config as JSON
  teacher, student, baseline, evaluate, report
            that stage alone

flags:
  --config=FILE               the TOML file of the run
  --workdir=DIR               where the run's files go; a run started again goes on
  --set=section.field=VALUE   a setting in place of the file's; may be repeated
"""


class UsageError(ValueError):
    """The command line cannot be used."""


def define_flags() -> flags.FlagValues:
    """The flags: these and no others, settings belong into the file."""
    values = flags.FlagValues()
    flags.DEFINE_string("config", None, "TOML file of the run", flag_values=values)
    flags.DEFINE_string(
        "workdir", None, "folder of the run's files", flag_values=values
    )
    flags.DEFINE_multi_string(
        "set", [], "section.field=VALUE in place of the file's", flag_values=values
    )
    flags.DEFINE_boolean("help", False, "show this help", flag_values=values)
    return values


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit code."""
    console.prepare()
    try:
        return _command(argv)
    except KeyboardInterrupt:
        return _end("interrupted; start the same command again to go on", INTERRUPTED)
    except FloatingPointError as error:
        return _end(str(error), DIVERGED)
    except (
        UsageError,
        config.ConfigError,
        cluster.ClusterError,
        files.StorageError,
    ) as error:
        return _end(str(error), UNUSABLE)
    except _unusable_input() as error:
        return _end(str(error), UNUSABLE)


def _command(argv: list[str]) -> int:
    values = define_flags()
    try:
        words = values(argv)[1:]
    except flags.Error as error:
        raise UsageError(f"{error}; see python -m trainer --help") from None
    if values.help:
        print(_USAGE, end="")
        return DONE
    commands: dict[str, Callable[[flags.FlagValues], int]] = {
        "config": _print_config,
        "run": lambda values: _run_stages(values, STAGE_NAMES),
    }
    for name in STAGE_NAMES:
        commands[name] = lambda values, name=name: _run_stages(values, (name,))
    if len(words) != 1 or words[0] not in commands:
        got = " ".join(words) or "none"
        raise UsageError(
            f"COMMAND must be one of {', '.join(commands)}, got {got}; "
            "see python -m trainer --help"
        )
    return commands[words[0]](values)


def _load(values: flags.FlagValues) -> config.Config:
    if not values.config:
        raise UsageError("--config must name the TOML file of the run, got none")
    return config.load(values.config, values.set)


def _print_config(values: flags.FlagValues) -> int:
    print(json.dumps(config.resolved(_load(values)), indent=2))
    return DONE


def _run_stages(values: flags.FlagValues, names: tuple[str, ...]) -> int:
    settings = _load(values)
    if not values.workdir:
        raise UsageError("--workdir must name the folder of the run's files, got none")
    cluster.require_single_task()
    # From here on TensorFlow is loaded: seconds, which wrong settings do not cost.
    from trainer import stages

    session = stages.open_session(settings, pathlib.Path(values.workdir))
    logging.info("%s", session.description)
    for name in names:
        stages.STAGES[name](session)
    return DONE


def _unusable_input() -> tuple[type[Exception], ...]:
    """Errors of modules that load TensorFlow, which is loaded when they are raised."""
    from trainer import checkpoint, data

    return (checkpoint.CheckpointError, data.DataError)


def _end(message: str, code: int) -> int:
    print(f"trainer: {message}", file=sys.stderr)
    return code
