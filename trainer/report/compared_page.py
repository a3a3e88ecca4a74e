"""The page of a comparison: its table, with links to the runs' pages, its figures."""

import html
import os
import urllib.parse
from collections.abc import Iterable, Sequence

from etils import epath

from trainer import files
from trainer.report import compared_table
from trainer.report.compared import Run, note
from trainer.report.compared_figures import curves, pareto
from trainer.report.figures import Figure
from trainer.report.page import DOTS_PER_INCH, STYLE, _figure, _text
from trainer.report.pictures import Picture
from trainer.workdir import REPORT


def write(runs: Sequence[Run], out: epath.Path) -> epath.Path:
    """Writes `report/index.html` and its PNGs in `out`, each complete or not at all.

    Returns:
      The path of the page. It refers to nothing but the pages of the runs.

    Raises:
      StorageError: the report's folder cannot be written.
    """
    page = out / REPORT
    sections = [_head(runs), _table(runs, page)]
    for picture in _pictures(runs):
        png = page.parent / f"{picture.stem}.png"
        with files.atomic_path(png) as temporary:
            picture.figure.savefig(temporary, dpi=DOTS_PER_INCH)
        sections.append(_figure(picture, png.read_bytes()))
    files.write_text(page, _document(runs, sections))
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


def _document(runs: Sequence[Run], sections: Iterable[str]) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{len(runs)} runs compared</title>\n<style>{STYLE}"
        "td a { color: var(--accent); }\n</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(runs: Sequence[Run]) -> str:
    warning = note(runs)
    summary = f'\n<p class="summary">{_text(warning)}</p>' if warning else ""
    return f"<h1>{len(runs)} runs compared</h1>{summary}"


def _table(runs: Sequence[Run], page: epath.Path) -> str:
    columns = [*compared_table.header(runs), "page"]
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    lines = []
    for run in runs:
        name, *cells = compared_table.row(run, runs)
        numbers = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
        lines.append(
            f'<tr><th scope="row">{_text(name)}</th>{numbers}'
            f"<td>{_link(run.path, page)}</td></tr>"
        )
    meaning = compared_table.meaning(runs)[0]
    return (
        f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + f'\n</tbody></table></div>\n<p class="note">{_text(meaning)}</p>'
    )


def _link(run: epath.Path, page: epath.Path) -> str:
    """To the run's own page, where a browser finds it from here; else its folder."""
    if any(map(files.is_remote, (run, page))) or not (run / REPORT).exists():
        return html.escape(str(run))
    address = os.path.relpath(run / REPORT, page.parent)
    return f'<a href="{urllib.parse.quote(address)}">report</a>'
