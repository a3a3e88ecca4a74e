"""The command line: `python -m trainer COMMAND --config=FILE --workdir=DIR`."""

import functools
import json
import traceback
from collections.abc import Callable

from absl import flags
from etils import epath

from trainer import (
    attempts,
    cluster,
    config,
    console,
    files,
    start,
    termination,
    workdir,
)
from trainer.rendezvous import PeerLostError
from trainer.verdict import CheckFailedError

DONE, BUG, UNUSABLE, DIVERGED, BUDGET_SPENT, CHECK_FAILED = range(6)
INTERRUPTED = 130

STAGE_NAMES = (
    *("teacher", "soft-targets", "student", "baseline", "finetune"),
    *("evaluate", "report"),
)
# What can be done with caches of soft targets; "build" is the stage itself.
ACTIONS = ("plan", "build", "verify", "extend", "info")
READING_ACTIONS = ("plan", "verify", "info")

_USAGE = f"""\
usage: python -m trainer COMMAND --config=FILE --workdir=DIR [--set=KEY=VALUE ...]

commands:
  run       every stage that the config asks for
  config    print the resolved config as JSON
  {", ".join(STAGE_NAMES)}
            that stage alone
  soft-targets ACTION
            of caches: {", ".join(ACTIONS)}
  crossval  students that learn from all folds but one, measured on that one
  study     every cell of the config's [study]; one teacher, one table
  sweep     trials of the settings in [sweep.space]; the best one is tested
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
    # Before TensorFlow is imported, whose threads would see it.
    with termination.sigterm_blocked():
        try:
            return _command(argv)
        except Exception as error:
            reason, code = _reason(error)
            if code == BUG:
                traceback.print_exc()
        except KeyboardInterrupt:
            reason = "interrupted; start the same command again to go on"
            code = INTERRUPTED
        termination.tell(reason, code)
        return code


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
    for action in ACTIONS:
        names = "soft-targets" if action == "build" else f"soft-targets {action}"
        commands[f"soft-targets {action}"] = functools.partial(_run_stages, (names,))
    commands["crossval"] = functools.partial(_run_stages, ("crossval",))
    commands["doctor"] = _examine
    commands["study"] = _run_study
    commands["sweep"] = _run_sweep
    command = " ".join(words)
    if command not in commands:
        got = command or "none"
        raise UsageError(
            f"COMMAND must be one of {', '.join(commands)}, got {got}; "
            "see python -m trainer --help"
        )
    return commands[command](values)


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
    own = cluster.read()
    # Loads TensorFlow.
    from trainer import doctor

    return CHECK_FAILED if doctor.examine(settings, path, own) else DONE


def _run_stages(names: tuple[str, ...], values: flags.FlagValues) -> int:
    settings = _load(values)
    path = _workdir(values)
    own = cluster.read()
    is_chief = own is None or own.is_chief
    held = [kind for kind in _REDRAWN if files.is_there(path / f"{kind}.json")]
    if held and "evaluate" in names:
        raise config.ConfigError(
            f"--workdir must be of one run, got {path}, which holds a {held[0]}; "
            "choose another --workdir"
        )
    if is_chief:
        workdir.claim(path, settings)
    if held and names == ("report",):
        return _REDRAWN[held[0]](path) if is_chief else DONE
    is_finished = names == STAGE_NAMES and workdir.is_finished(path, settings)
    if own and _is_for_chief_alone(names, path, settings):
        if not is_chief:
            return DONE
        own = None
        if names == STAGE_NAMES:
            names = ("report",)
    if not is_finished:
        _run_session(names, settings, path, own)
    if is_chief and names[-1] in ("evaluate", "report"):
        print(_outcome(path))
    return DONE


def _is_for_chief_alone(
    names: tuple[str, ...], path: epath.Path, settings: config.Config
) -> bool:
    """Whether other workers, which may have ended already, are not needed."""
    if names[0] in ("report", *(f"soft-targets {name}" for name in READING_ACTIONS)):
        return True
    return names == STAGE_NAMES and workdir.is_evaluated(path, settings)


def _run_session(
    names: tuple[str, ...],
    settings: config.Config,
    path: epath.Path,
    own: cluster.Cluster | None,
) -> None:
    with start.session(" ".join(names), settings, path, own) as session:
        from trainer import stages

        whole = names == STAGE_NAMES
        asked = stages.asked_for(settings) if whole else names
        stages.run(session, asked, whole=whole)


def _run_study(values: flags.FlagValues) -> int:
    # Loads NumPy.
    from trainer import study

    settings = _load(values)
    path = _workdir(values)
    own = cluster.read()
    cells = study.cells_of(values.config, values.set, settings, path)
    study.run(cells, settings, path, own)
    if own is None or own.is_chief:
        print(_study_outcome(path))
    study.check_converged(cells)
    return DONE


def _redraw_study(path: epath.Path) -> int:
    from trainer import study

    study.redraw(path)
    print(_study_outcome(path))
    return DONE


def _run_sweep(values: flags.FlagValues) -> int:
    # Loads NumPy.
    from trainer import sweep

    settings = _load(values)
    path = _workdir(values)
    sweep.refuse_cluster(cluster.read())
    print(sweep.run(values.config, values.set, settings, path))
    return DONE


def _redraw_sweep(path: epath.Path) -> int:
    from trainer import sweep

    print(sweep.redraw(path))
    return DONE


# What a workdir may hold instead of one run, by the name of its results.
_REDRAWN = {"study": _redraw_study, "sweep": _redraw_sweep}


def _study_outcome(path: epath.Path) -> str:
    """The table of the cells, and where the report is."""
    from trainer import report

    page = path / workdir.REPORT
    table = report.render_study(report.read_study(path))
    return table + (f"\nreport: {page}" if page.exists() else "")


def _outcome(path: epath.Path) -> str:
    """The table of the finished models, and where the report is."""
    from trainer import report

    results = report.read_results(path)
    page = path / workdir.REPORT
    return report.render(results) + (f"\nreport: {page}" if page.exists() else "")


def _reason(error: Exception) -> tuple[str, int]:
    """What to say of an error, and the exit code; a bug tells its own story."""
    known: tuple[tuple[type[Exception], int], ...] = (
        (cluster.NothingToDoError, DONE),
        (FloatingPointError, DIVERGED),
        (attempts.BudgetSpentError, BUDGET_SPENT),
        (CheckFailedError, CHECK_FAILED),
        (PeerLostError, termination.PEER_LOST),
        (termination.StoppedError, termination.STOPPED),
        (UsageError, UNUSABLE),
        (config.ConfigError, UNUSABLE),
        (cluster.ClusterError, UNUSABLE),
        (files.StorageError, UNUSABLE),
    )
    for kind, code in known:
        if isinstance(error, kind):
            return str(error), code
    sentence = _unusable_input(error)
    if sentence:
        return sentence, UNUSABLE
    return f"this is a bug: {type(error).__name__}: {error}", BUG


def _unusable_input(error: Exception) -> str:
    """What to say of an error that modules with TensorFlow raise; "" for a bug."""
    # They are loaded when such an error is raised.
    import tensorflow as tf

    from trainer import checkpoint, data, memory, report

    if isinstance(error, tf.errors.ResourceExhaustedError):
        return memory.OUT_OF_MEMORY
    known = (checkpoint.CheckpointError, data.DataError, report.ReportError)
    return str(error) if isinstance(error, known) else ""
