"""The command line: `python -m trainer COMMAND --config=FILE --workdir=DIR`."""

import functools
import json
import traceback
from collections.abc import Callable

from absl import flags
from etils import epath

from trainer import cluster, config, console, files, workdir

DONE, BUG, UNUSABLE, DIVERGED, CHECK_FAILED, INTERRUPTED = 0, 1, 2, 3, 5, 130

STAGE_NAMES = ("teacher", "student", "baseline", "evaluate", "report")

_USAGE = f"""\
usage: python -m trainer COMMAND --config=FILE --workdir=DIR [--set=KEY=VALUE ...]

commands:
  run       every stage: {", ".join(STAGE_NAMES)}
  config    print the resolved config as JSON
  teacher, student, baseline, evaluate, report
            that stage alone
  doctor    whether a run can be done here, how fast, in what memory; trains nothing

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
    except Exception as error:
        sentence = _unusable_input(error)
        if sentence:
            return _end(sentence, UNUSABLE)
        traceback.print_exc()
        return BUG


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
        "run": functools.partial(_run_stages, STAGE_NAMES),
    }
    for name in STAGE_NAMES:
        commands[name] = functools.partial(_run_stages, (name,))
    commands["doctor"] = _examine
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


def _workdir(values: flags.FlagValues) -> epath.Path:
    if not values.workdir:
        raise UsageError("--workdir must name the folder of the run's files, got none")
    return files.path_of(values.workdir, setting="--workdir")


def _examine(values: flags.FlagValues) -> int:
    settings = _load(values)
    path = _workdir(values)
    cluster.require_single_task()
    # Loads TensorFlow.
    from trainer import doctor

    return CHECK_FAILED if doctor.examine(settings, path) else DONE


def _run_stages(names: tuple[str, ...], values: flags.FlagValues) -> int:
    settings = _load(values)
    path = _workdir(values)
    cluster.require_single_task()
    workdir.claim(path, settings)
    if names != STAGE_NAMES or not workdir.is_finished(path):
        # TensorFlow takes seconds to load, which wrong settings and a finished run do
        # not cost.
        from trainer import stages

        session = stages.open_session(settings, path)
        console.say(session.description)
        if set(names) - {"report"}:
            console.say(session.source.description)
        if names == STAGE_NAMES:
            stages.check(session)
        for name in names:
            stages.STAGES[name](session)
    if names[-1] in ("evaluate", "report"):
        print(_outcome(path))
    return DONE


def _outcome(path: epath.Path) -> str:
    """The table of the finished models, and where the report is."""
    from trainer import report

    results = report.read_results(path)
    page = path / workdir.REPORT
    return report.render(results) + (f"\nreport: {page}" if page.exists() else "")


def _unusable_input(error: Exception) -> str:
    """What to say of an error that modules with TensorFlow raise; "" for a bug."""
    # They are loaded when such an error is raised.
    import tensorflow as tf

    from trainer import checkpoint, data, memory, report

    if isinstance(error, tf.errors.ResourceExhaustedError):
        return memory.OUT_OF_MEMORY
    known = (checkpoint.CheckpointError, data.DataError, report.ReportError)
    return str(error) if isinstance(error, known) else ""


def _end(message: str, code: int) -> int:
    console.say(message)
    return code
