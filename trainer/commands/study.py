"""Studies: run, and drawn again."""

from etils import epath

from trainer.cluster import tf_config
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE
from trainer.progress.folded import show


def run(line: CommandLine) -> int:
    """Runs every cell that is not done, and prints their table."""
    # Loads NumPy.
    from trainer import report, study

    settings = line.settings()
    path = line.workdir()
    own = tf_config.read()
    cells = study.variants_of(line.flags.config, line.overrides, settings, path)
    study.run(cells, settings, path, own)
    if own is None or own.is_chief:
        show(report.study_outcome(path))
    study.check_converged(cells)
    return DONE


def redraw(path: epath.Path) -> int:
    """Writes the report of the study in `path` again, and prints its table."""
    from trainer import report, study

    study.redraw(path)
    show(report.study_outcome(path))
    return DONE
