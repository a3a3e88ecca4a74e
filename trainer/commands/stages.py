"""Stages of a run: all of them, one of them, and what is done beside them."""

from collections.abc import Mapping

from trainer import console
from trainer import stages as work
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE
from trainer.progress.folded import show
from trainer.runs import kept_settings, workflow
from trainer.storage import workdir


def run(names: tuple[str, ...], line: CommandLine) -> int:
    """Runs the stages `names`, and prints the table that the last of them has."""
    show(console.as_started(outcome(names, line)))
    return DONE


def outcome(
    names: tuple[str, ...],
    line: CommandLine,
    options: Mapping[str, str] = work.NO_OPTIONS,
) -> str:
    """Runs the stages `names`; what the last of them has found, as text.

    Without --config the settings are those that the workdir keeps.

    Raises:
      as `trainer.runs.workflow.run_stages` does.
    """
    settings = line.settings(kept_settings.free_sections(names))
    path = line.workdir()
    if not line.flags.config:
        kept_settings.check_complete(settings, path, names)
    waits = line.flags.wait
    try:
        return workflow.run_stages(settings, path, names, options=options, waits=waits)
    except workdir.OtherConfigError as error:
        if not line.flags.config:
            raise
        way = f"leave --config out: {path / workdir.CONFIG} has the run's own"
        trains = any(work.ALL[name].is_training for name in names)
        # Another workdir has nothing to export or to report on.
        said, way = (f"{error}", f"or {way}") if trains else (error.found, way)
        raise workdir.OtherConfigError(said, way) from None
