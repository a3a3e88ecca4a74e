"""What came of a run: a table for the terminal, figures and one HTML page.

`table` needs only the standard library. Figures need matplotlib, an optional extra, so
it is imported when a page is written and not before.
"""

from etils import epath

from trainer.report.conclusion import summary
from trainer.report.inputs import ReportError, read_results
from trainer.report.study_table import read_study, render_study
from trainer.report.sweep_table import read_sweep, render_sweep, text_of
from trainer.report.table import Comparison, comparison, render

__all__ = [
    "Comparison",
    "ReportError",
    "comparison",
    "read_results",
    "read_study",
    "read_sweep",
    "render",
    "render_study",
    "render_sweep",
    "summary",
    "text_of",
    "write",
    "write_study",
    "write_sweep",
]


def write(workdir: epath.Path) -> epath.Path:
    """Writes `report/index.html` and its PNGs: see `trainer.report.page.write`.

    Raises:
      ReportError: an input is missing or malformed, or matplotlib is not installed.
    """
    from trainer.report.page import write as write_page

    return write_page(workdir)


def write_study(workdir: epath.Path) -> epath.Path:
    """Writes the page of a study: see `trainer.report.study_page.write`.

    Raises:
      ReportError: study.json is missing or malformed, or matplotlib is not installed.
    """
    from trainer.report.study_page import write as write_page

    return write_page(workdir)


def write_sweep(workdir: epath.Path) -> epath.Path:
    """Writes the page of a sweep: see `trainer.report.sweep_page.write`.

    Raises:
      ReportError: sweep.json is missing or malformed, or matplotlib is not installed.
    """
    from trainer.report.sweep_page import write as write_page

    return write_page(workdir)
