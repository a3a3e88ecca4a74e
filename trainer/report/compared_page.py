"""The page of a comparison: its table, with links to the runs' pages, its figures."""

import os
from collections.abc import Iterable, Sequence

from etils import epath

from trainer.report import compared_table, markup
from trainer.report.compared import Run, note
from trainer.report.compared_figures import curves, pareto
from trainer.report.figures import Figure
from trainer.report.markup import Picture, text
from trainer.storage import files
from trainer.storage.workdir import REPORT


def write(runs: Sequence[Run], out: epath.Path) -> epath.Path:
    """Writes `report/index.html` and its PNGs in `out`, each complete or not at all.

    Returns:
      The path of the page. It refers to nothing but the pages of the runs.

    Raises:
      StorageError: the report's folder cannot be written.
    """
    page = out / REPORT
    sections = [_head(runs), _table(runs, page)]
    sections += [
        markup.draw_picture(picture, page.parent) for picture in _pictures(runs)
    ]
    files.write_text(page, markup.document(f"{len(runs)} runs compared", sections))
    return page


def _pictures(runs: Sequence[Run]) -> Iterable[Picture]:
    drawn: Figure | None = curves(runs)
    if drawn:
        yield Picture(
            stem="curves",
            title="Learning curves",
            figure=drawn,
            caption="Accuracy of the students on their validation splits; a band is "
            "the range over seeds.",
        )
    if not any("student" in run.models for run in runs):
        return
    joined = (
        "No line joins the best, because they are tested on different data."
        if note(runs)
        else "The line joins those that none beats at the same cost or less."
    )
    timed = ""
    if compared_table.batch_sizes(runs):
        timed = " Times of runs on different machines are not comparable."
    yield Picture(
        stem="pareto",
        title="Accuracy for its price",
        figure=pareto(runs),
        caption="Test accuracy of the students; bars are standard deviations over "
        f"seeds. {joined}{timed}",
    )


def _head(runs: Sequence[Run]) -> str:
    warning = note(runs)
    summary = f'\n<p class="summary">{text(warning)}</p>' if warning else ""
    return f"<h1>{len(runs)} runs compared</h1>{summary}"


def _table(runs: Sequence[Run], page: epath.Path) -> str:
    header = [*compared_table.header(runs), "page"]
    rows = [[*compared_table.row(run, runs), _link(run.path, page)] for run in runs]
    note = f'<p class="note">{text(compared_table.meaning(runs)[0])}</p>'
    return f"{markup.table(header, rows)}\n{note}"


def _link(run: epath.Path, page: epath.Path) -> str:
    """To the run's own page, where a browser finds it from here; else its folder."""
    if any(map(files.is_remote, (run, page))) or not (run / REPORT).exists():
        return str(run)
    return markup.link(os.path.relpath(run / REPORT, page.parent), "report")
