"""Stages of a run: all of them, one of them, and what is done with soft targets."""

import contextlib

from etils import epath

from trainer import config
from trainer.cluster import hold, tf_config
from trainer.commands import study, sweep, watch
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE
from trainer.runs import start
from trainer.storage import files, workdir

# Those of a run, in its order.
NAMES = (
    *("teacher", "soft-targets", "student", "baseline", "finetune"),
    *("evaluate", "report"),
)
# What can be done with caches of soft targets; "build" is the stage itself.
ACTIONS = ("plan", "build", "verify", "extend", "info")
_READING_ACTIONS = ("plan", "verify", "info")
# Commands that take a finished model out of the run.
LEAVING = ("export", "registry register")

# What a workdir may hold instead of one run, by the name of its results.
_REDRAWN = {"study": study.redraw, "sweep": sweep.redraw, "watch": watch.show}


def run(names: tuple[str, ...], line: CommandLine) -> int:
    """Runs the stages `names`; of all NAMES those that the config asks for."""
    settings = line.settings()
    path = line.workdir()
    own = tf_config.read()
    is_chief = own is None or own.is_chief
    held = [kind for kind in _REDRAWN if files.is_there(path / f"{kind}.json")]
    if held and "evaluate" in names:
        raise config.ConfigError(
            f"--workdir must be of one run, got {path}, which holds a {held[0]}; "
            "choose another --workdir"
        )
    with start.begun(settings, path, holds=is_chief and _trains(names)) as begun:
        if is_chief:
            _claim(path, begun, trains=_trains(names))
        if held and names == ("report",):
            return _REDRAWN[held[0]](path) if is_chief else DONE
        is_finished = names == NAMES and workdir.is_finished(path, settings)
        if own and _is_for_chief_alone(names, path, settings):
            if not is_chief:
                return DONE
            own = None
            if names == NAMES:
                names = ("report",)
        if not is_finished:
            _run_session(names, begun, own)
    if is_chief and names[-1] in ("evaluate", "report"):
        from trainer import report

        print(report.outcome(path))
    return DONE


def _claim(path: epath.Path, begun: start.Start, *, trains: bool) -> None:
    if trains:
        workdir.claim(path, begun.config)
        return
    workdir.check(path, begun.config)
    # A command that only reads writes no config while another process trains there.
    if not hold.is_free(path):
        return
    # A training may begin at this moment.
    with (
        contextlib.suppress(hold.HeldError, hold.LostError),
        hold.held(path, begun.termination, within=hold.FREE),
    ):
        workdir.claim(path, begun.config)


def _trains(names: tuple[str, ...]) -> bool:
    """Whether the stages write what later starts go on from."""
    reading = [f"soft-targets {name}" for name in _READING_ACTIONS]
    return names[0] not in ("report", *reading, *LEAVING)


def _is_for_chief_alone(
    names: tuple[str, ...], path: epath.Path, settings: config.Config
) -> bool:
    """Whether other workers, which may have ended already, are not needed."""
    if not _trains(names):
        return True
    return names == NAMES and workdir.is_evaluated(path, settings)


def _run_session(
    names: tuple[str, ...], begun: start.Start, own: tf_config.Cluster | None
) -> None:
    is_counted = _trains(names)
    with begun.session(" ".join(names), own, is_counted=is_counted) as session:
        from trainer import stages

        whole = names == NAMES
        asked = stages.asked_for(begun.config) if whole else names
        stages.run(session, asked, whole=whole)
