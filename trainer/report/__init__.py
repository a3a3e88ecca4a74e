"""Reports of a run: a table for the terminal, figures and one HTML page.

`table` needs only the standard library. Pages need Jinja2, and the PNGs beside them
matplotlib, an optional extra: they are imported when a page is written and not before.
"""

import importlib.util
from collections.abc import Sequence

from etils import epath

from trainer import console
from trainer.report import compared, compared_table, more_seeds
from trainer.report.amounts import format_count
from trainer.report.conclusion import summary
from trainer.report.hparams import write as write_hparams
from trainer.report.inputs import read_classes, read_results
from trainer.report.problems import ReportError
from trainer.report.study_table import read_study, render_study
from trainer.report.sweep_table import read_sweep, render_sweep, text_of
from trainer.report.table import Comparison, comparison, lines, render
from trainer.report.verdict import line
from trainer.storage import files
from trainer.storage.workdir import REPORT

_NEEDED = ("jinja2", "matplotlib")

__all__ = [
    "Comparison",
    "ReportError",
    "compare",
    "comparison",
    "format_count",
    "is_drawable",
    "outcome",
    "read_classes",
    "read_results",
    "read_study",
    "read_sweep",
    "render",
    "render_study",
    "render_sweep",
    "study_outcome",
    "summary",
    "tell_undrawn",
    "text_of",
    "write",
    "write_hparams",
    "write_study",
    "write_sweep",
    "write_watch",
]


def write(workdir: epath.Path) -> epath.Path:
    """Writes `report/index.html` and its PNGs: see `trainer.report.page.write`.

    Raises:
      ReportError: an input is missing or malformed, or a package is missing.
    """
    from trainer.report.page import write as write_page

    return write_page(workdir)


def write_study(workdir: epath.Path) -> epath.Path:
    """Writes the page of a study: see `trainer.report.study_page.write`.

    Raises:
      ReportError: study.json is missing or malformed, or a package is missing.
    """
    from trainer.report.study_page import write as write_page

    return write_page(workdir)


def write_sweep(workdir: epath.Path) -> epath.Path:
    """Writes the page of a sweep: see `trainer.report.sweep_page.write`.

    Raises:
      ReportError: sweep.json is missing or malformed, or a package is missing.
    """
    from trainer.report.sweep_page import write as write_page

    return write_page(workdir)


def write_watch(workdir: epath.Path) -> epath.Path:
    """Writes the page of a watch: see `trainer.report.watch_page.write`.

    Raises:
      ReportError: watch.json is missing or malformed, or a package is missing.
    """
    from trainer.report.watch_page import write as write_page

    return write_page(workdir)


def outcome(workdir: epath.Path) -> str:
    """The table of the models of a finished run, where its page is, and the verdict.

    Raises:
      ReportError: results.json is missing or malformed.
    """
    results = read_results(workdir)
    table = _with_page("\n".join(lines(results)), workdir)
    return "\n".join([table, line(results, more_seeds.way(results, workdir))])


def study_outcome(workdir: epath.Path) -> str:
    """The table of the cells of a study, and where its page is.

    Raises:
      ReportError: study.json is missing or malformed.
    """
    return _with_page(render_study(read_study(workdir)), workdir)


def compare(names: Sequence[str], out: epath.Path) -> str:
    """Compares the runs in workdirs in a page in `out`; the table, and where that is.

    Raises:
      ReportError: a workdir holds no finished run, or `out` holds one.
    """
    paths = [files.path_of(name, setting="a workdir to compare") for name in names]
    runs = compared.read(paths, out)
    table = compared_table.render_compared(runs)
    if not is_drawable():
        console.log(f"no page is written: {' and '.join(_missing())} missing")
        return table
    from trainer.report.compared_page import write as write_page

    write_page(runs, out)
    return _with_page(table, out)


def is_drawable() -> bool:
    """Whether pages can be drawn here: what they need is an extra."""
    return not _missing()


def tell_undrawn() -> None:
    """Says that a page is missing, and how it is drawn later."""
    missing = _missing()
    console.log(
        f"no report is drawn: {' and '.join(missing)} missing; pip install "
        f"{' '.join(missing)}, then python -m trainer report"
    )


def _missing() -> list[str]:
    """The packages of the extra that are not installed."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def _with_page(table: str, workdir: epath.Path) -> str:
    page = workdir / REPORT
    return f"{table}\nreport: {page}" if page.exists() else table
