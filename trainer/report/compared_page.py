"""The page of a comparison: its table, with links to the runs' pages, its figures."""

import os
import urllib.parse
from collections.abc import Iterator, Sequence

from etils import epath

from trainer.report import compared_charts, compared_table, markup
from trainer.report.amounts import value
from trainer.report.colours import PALETTE
from trainer.report.compared import Run, note
from trainer.report.compared_figures import curves, pareto
from trainer.report.data_table import Cell, table
from trainer.report.markup import Picture
from trainer.report.section import Card, Head, Section
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
    for picture in _pictures(runs):
        markup.draw_picture(picture, page.parent)
    head = Head(
        title=f"{len(runs)} runs compared",
        kind="Comparison",
        warning=note(runs),
        cards=tuple(_cards(runs)),
    )
    files.write_text(page, markup.document(head, list(_sections(runs, page))))
    return page


def _pictures(runs: Sequence[Run]) -> Iterator[Picture]:
    drawn = curves(runs)
    if drawn:
        yield Picture("curves", drawn)
    if any("student" in run.models for run in runs):
        yield Picture("pareto", pareto(runs))


def _cards(runs: Sequence[Run]) -> Iterator[Card]:
    """The best and the smallest student, where all are tested on the same data."""
    taught = [(i, run) for i, run in enumerate(runs) if "student" in run.models]
    if not taught or note(runs):
        return
    number, best = min(
        taught, key=lambda each: each[1].models["student"]["mean"]["errors"]
    )
    student = best.models["student"]
    yield Card(
        title="Fewest errors of a student",
        number=value(student["mean"]["errors"], digits=1),
        unit=f"of {int(student['mean']['examples']):,}",
        note=best.label,
        slot=number % len(PALETTE),
    )
    number, least = min(
        taught, key=lambda each: each[1].models["student"]["parameters"]
    )
    yield Card(
        title="Smallest student",
        number=f"{least.models['student']['parameters']:,}",
        unit="parameters",
        note=least.label,
        slot=number % len(PALETTE),
    )


def _sections(runs: Sequence[Run], page: epath.Path) -> Iterator[Section]:
    header = [*compared_table.header(runs), "page"]
    rows: list[list[str | Cell]] = [
        [
            Cell(text=run.label, slot=i % len(PALETTE)),
            *compared_table.row(run, runs)[1:],
            _link(run.path, page),
        ]
        for i, run in enumerate(runs)
    ]
    yield Section(
        name="runs",
        title="Runs",
        part="table",
        content=table(header, rows),
        note=compared_table.meaning(runs)[0],
    )
    learned = compared_charts.curves(runs)
    if learned:
        yield Section(
            name="curves",
            title="Learning curves",
            part="charts",
            content=[learned],
            note="Accuracy of the students on their validation splits; a band is the "
            "range over seeds.",
        )
    prices = list(compared_charts.prices(runs))
    if prices:
        yield Section(
            name="price",
            title="Accuracy for its price",
            part="charts",
            content=prices,
            note=_about_prices(runs),
        )


def _about_prices(runs: Sequence[Run]) -> str:
    joined = (
        "No line joins the best, because they are tested on different data."
        if note(runs)
        else "The line joins those that none beats at the same cost or less."
    )
    timed = ""
    if compared_table.batch_sizes(runs):
        timed = " Times of runs on different machines are not comparable."
    return (
        "Test accuracy of the students; bars are standard deviations over seeds. "
        f"{joined}{timed}"
    )


def _link(run: epath.Path, page: epath.Path) -> Cell:
    """To the run's own page, where a browser finds it from here; else its folder."""
    if any(map(files.is_remote, (run, page))) or not (run / REPORT).exists():
        return Cell(text=str(run))
    address = os.path.relpath(run / REPORT, page.parent)
    return Cell(text="report", address=urllib.parse.quote(address))
