"""Sweeps: trials trained, and the page drawn again."""

from etils import epath

from trainer.cluster import tf_config
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE
from trainer.progress.folded import show


def run(line: CommandLine) -> int:
    """Trains the trials that are left, and prints what came of the sweep."""
    # Loads NumPy.
    from trainer import sweep

    settings = line.settings()
    path = line.workdir()
    sweep.refuse_cluster(tf_config.read())
    show(sweep.run(line.flags.config, line.overrides, settings, path))
    return DONE


def redraw(path: epath.Path) -> int:
    """Writes the report of the sweep in `path` again, and prints its tables."""
    from trainer import sweep

    show(sweep.redraw(path))
    return DONE
