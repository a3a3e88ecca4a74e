"""Reports: of what a workdir holds, and of several runs beside each other."""

from collections.abc import Callable, Mapping

from etils import epath

from trainer import stages as work
from trainer.cluster import tf_config
from trainer.commands import stages, study, sweep, watch
from trainer.commands.command_line import CommandLine, UsageError
from trainer.config import Config
from trainer.exit_codes import DONE
from trainer.progress.folded import show
from trainer.runs import start
from trainer.storage import files, workdir

# Of what a workdir may hold in the place of one run, by the file that tells of it.
_REDRAWN: Mapping[str, Callable[[epath.Path], int]] = {
    workdir.STUDY: study.redraw,
    workdir.SWEEP: sweep.redraw,
    workdir.WATCH: watch.redraw,
}


def write(line: CommandLine) -> int:
    """Draws the report of the workdir again, or compares the runs that words name."""
    if line.words:
        return _compare(line)
    config, path = line.settings(work.STAGES["report"].free), line.workdir()
    for name, redraw in _REDRAWN.items():
        if files.exists(path / name):
            return _redraw(redraw, config, path)
    return stages.run(("report",), line)


def _redraw(
    redraw: Callable[[epath.Path], int], config: Config, path: epath.Path
) -> int:
    own = tf_config.read()
    if own and not own.is_chief:
        return DONE
    with start.begun(config, path, holds=False) as begun:
        begun.claim()
        return redraw(path)


def _compare(line: CommandLine) -> int:
    if line.flags.config or line.overrides:
        raise UsageError("report DIR DIR ... must come without --config and --set")
    # Loads NumPy.
    from trainer import report

    show(report.compare(line.words, line.workdir()))
    return DONE
