"""The report of a study: its table, with links to the cells' pages, and its figure."""

from etils import epath

from trainer.report import markup, study_table
from trainer.report.markup import Picture, text
from trainer.report.study_figure import numeric_axis, study_figure
from trainer.report.study_table import Cell, Study
from trainer.storage import files
from trainer.storage.workdir import CELLS, REPORT


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
        picture = Picture("study", "Errors over the study", _caption(study), figure)
        sections.append(markup.draw_picture(picture, page.parent))
    files.write_text(page, markup.document(f"{study['name']} - study", sections))
    return page


def _head(study: Study) -> str:
    counts = [
        f"{sum(cell['status'] == status for cell in study['cells'])} {status}"
        for status in study_table.STATUSES
        if any(cell["status"] == status for cell in study["cells"])
    ]
    return (
        f"<h1>{text(study['name'])}</h1>\n"
        f'<p class="note">{len(study["cells"])} cells: {", ".join(counts)}</p>'
    )


def _table(study: Study) -> str:
    header = [*study_table.header(study), "page"]
    rows = [[*study_table.row(study, cell), _link(cell)] for cell in study["cells"]]
    note = f'<p class="note">{text(study_table.note(study))}</p>'
    return f"{markup.table(header, rows)}\n{note}"


def _link(cell: Cell) -> str:
    if cell["status"] != "finished":
        return ""
    return markup.link(f"../{CELLS}/{cell['name']}/{REPORT}", "report")


def _caption(study: Study) -> str:
    signs = "Filled dots are the students, open ones"
    if numeric_axis(study["grid"]):
        signs = "Lines are the students, dashed ones"
    return (
        f"{signs} their baselines, which learn from the labels alone. Bars are "
        "standard deviations over seeds."
    )
