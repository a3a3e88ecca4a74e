"""The report of a study: its table, with links to the cells' pages, and its figure."""

import urllib.parse
from collections.abc import Iterator

from etils import epath

from trainer.report import markup, reproduction, study_charts, study_table
from trainer.report.amounts import value
from trainer.report.data_table import Cell as TableCell
from trainer.report.data_table import table
from trainer.report.markup import Picture
from trainer.report.section import Card, Head, Section
from trainer.report.study_axis import numeric_axis
from trainer.report.study_figure import study_figure
from trainer.report.study_table import Cell, Study
from trainer.storage import files
from trainer.storage.workdir import CELLS, REPORT


def write(workdir: epath.Path) -> epath.Path:
    """Writes `report/index.html` and `report/study.png` of a study from its study.json.

    Returns:
      The path of the page. It refers to nothing but the pages of the cells.

    Raises:
      ReportError: study.json, or a file of a cell, is missing or malformed.
      OSError: the report's folder cannot be written.
    """
    study = study_table.read_study(workdir)
    page = workdir / REPORT
    figure = study_figure(study)
    if figure:
        markup.draw_picture(Picture("study", figure), page.parent)
    names = [cell["name"] for cell in study["cells"]]
    reproduced = reproduction.section_of_cells("study", workdir, names)
    sections = [*_sections(study), reproduced]
    files.write_text(page, markup.document(_head(study), sections))
    return page


def _head(study: Study) -> Head:
    counts = [
        f"{sum(cell['status'] == status for cell in study['cells'])} {status}"
        for status in study_table.STATUSES
        if any(cell["status"] == status for cell in study["cells"])
    ]
    return Head(
        title=str(study["name"]),
        kind="Study",
        facts=((f"{len(study['cells'])} cells:", ", ".join(counts)),),
        cards=tuple(_cards(study)),
    )


def _cards(study: Study) -> Iterator[Card]:
    """The cells whose students make the fewest errors and gain the most."""
    done = [cell for cell in study["cells"] if "student" in cell["models"]]
    if not done:
        return
    best = min(done, key=lambda cell: cell["models"]["student"]["mean"]["errors"])
    student = best["models"]["student"]
    yield Card(
        title="Fewest errors of a student",
        number=value(student["mean"]["errors"], digits=1),
        unit=_spread(student["std"].get("errors")),
        note=best["name"],
    )
    gained = [cell for cell in done if cell["gain"]]
    if gained:
        best = max(gained, key=lambda cell: cell["gain"]["errors"]["mean"])
        gain = best["gain"]["errors"]
        yield Card(
            title="Most errors saved",
            number=value(gain["mean"], digits=1),
            unit=_spread(gain.get("standard_error")),
            note=best["name"],
        )
    teachers = [
        cell["models"]["teacher"] for cell in done if "teacher" in cell["models"]
    ]
    if teachers:
        errors = min(teacher["mean"]["errors"] for teacher in teachers)
        yield Card(
            title="Errors of the teacher",
            number=value(errors, digits=1),
            note="which all cells share",
        )


def _spread(spread: float | None) -> str:
    return "" if spread is None else f"+- {spread:.1f}"


def _sections(study: Study) -> Iterator[Section]:
    header = [*study_table.header(study), "page"]
    rows = [[*study_table.row(study, cell), _link(cell)] for cell in study["cells"]]
    yield Section(
        name="cells",
        title="Cells",
        part="table",
        content=table(header, rows),
        note=f"{study_table.note(study)}. A setting is better chosen by a sweep, which "
        "compares trials on the validation split.",
    )
    chart = study_charts.study_chart(study)
    if chart:
        yield Section(
            name="errors",
            title="Errors over the study",
            part="charts",
            content=[chart],
            note=_caption(study),
        )


def _link(cell: Cell) -> str | TableCell:
    if cell["status"] != "finished":
        return ""
    name = urllib.parse.quote(cell["name"])
    return TableCell(text="report", address=f"../{CELLS}/{name}/{REPORT}")


def _caption(study: Study) -> str:
    signs = "Filled dots are the students, open ones"
    if numeric_axis(study["grid"]):
        signs = "Lines are the students, dashed ones"
    return (
        f"{signs} their baselines, which learn from the labels alone. Bars are "
        "standard deviations over seeds."
    )
