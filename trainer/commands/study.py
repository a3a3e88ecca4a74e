"""Studies: run, and drawn again."""

from etils import epath

from trainer import cluster, workdir
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE


def run(line: CommandLine) -> int:
    """Runs every cell that is not done, and prints their table."""
    # Loads NumPy.
    from trainer import study

    settings = line.settings()
    path = line.workdir()
    own = cluster.read()
    cells = study.cells_of(line.flags.config, line.flags.set, settings, path)
    study.run(cells, settings, path, own)
    if own is None or own.is_chief:
        print(_outcome(path))
    study.check_converged(cells)
    return DONE


def redraw(path: epath.Path) -> int:
    """Writes the report of the study in `path` again, and prints its table."""
    from trainer import study

    study.redraw(path)
    print(_outcome(path))
    return DONE


def _outcome(path: epath.Path) -> str:
    """The table of the cells, and where the report is."""
    from trainer import report

    page = path / workdir.REPORT
    table = report.render_study(report.read_study(path))
    return table + (f"\nreport: {page}" if page.exists() else "")
