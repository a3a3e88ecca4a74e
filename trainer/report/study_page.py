"""The report of a study: its table, with links to the cells' pages, and its figure."""

import base64
import html
import urllib.parse
from collections.abc import Iterable

from etils import epath

from trainer import files
from trainer.report import study_table
from trainer.report.page import DOTS_PER_INCH, STYLE
from trainer.report.study_figure import numeric_axis, study_figure
from trainer.report.study_table import Cell, Study
from trainer.workdir import CELLS, REPORT

_PNG = "study.png"


def write(workdir: epath.Path) -> epath.Path:
    """Writes `report/index.html` and `report/study.png` of a study from its study.json.

    Returns:
      The path of the page. It refers to nothing but the pages of the cells.

    Raises:
      ReportError: study.json is missing or malformed.
      OSError: the report's folder cannot be written.
    """
    study = study_table.read_study(workdir)
    page = workdir / REPORT
    sections = [_head(study), _table(study)]
    figure = study_figure(study)
    if figure:
        png = page.parent / _PNG
        with files.atomic_path(png) as temporary:
            figure.savefig(temporary, dpi=DOTS_PER_INCH)
        sections.append(_figure(study, png.read_bytes()))
    files.write_text(page, _document(study, sections))
    return page


def _document(study: Study, sections: Iterable[str]) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(study['name'])} - study</title>\n<style>{STYLE}"
        "td a { color: var(--accent); }\n</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(study: Study) -> str:
    counts = [
        f"{sum(cell['status'] == status for cell in study['cells'])} {status}"
        for status in study_table.STATUSES
        if any(cell["status"] == status for cell in study["cells"])
    ]
    return (
        f"<h1>{_text(study['name'])}</h1>\n"
        f'<p class="note">{len(study["cells"])} cells: {", ".join(counts)}</p>'
    )


def _table(study: Study) -> str:
    columns = [*study_table.header(study), "page"]
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    lines = []
    for cell in study["cells"]:
        cells = "".join(f"<td>{_text(it)}</td>" for it in study_table.row(study, cell))
        lines.append(f"<tr>{cells}<td>{_link(cell)}</td></tr>")
    return (
        f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + f'\n</tbody></table></div>\n<p class="note">{_text(study_table.note(study))}'
        "</p>"
    )


def _link(cell: Cell) -> str:
    if cell["status"] != "finished":
        return ""
    address = urllib.parse.quote(f"../{CELLS}/{cell['name']}/{REPORT}")
    return f'<a href="{address}">report</a>'


def _figure(study: Study, png: bytes) -> str:
    source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    signs = "Filled dots are the students, open ones"
    if numeric_axis(study["grid"]):
        signs = "Lines are the students, dashed ones"
    caption = (
        f"{signs} their baselines, which learn from the labels alone. Bars are "
        "standard deviations over seeds."
    )
    return (
        f'<h2>Errors over the study</h2>\n<figure>\n<img alt="Errors" src="{source}">\n'
        f"<figcaption>{caption}</figcaption>\n</figure>"
    )


def _text(value: object) -> str:
    return html.escape(str(value)).replace("+-", "&plusmn;")
