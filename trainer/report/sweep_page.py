"""The report of a sweep: its charts, its table, and the page of its best trial."""

from collections.abc import Iterator

from etils import epath

from trainer.report import markup, reproduction, sweep_charts, sweep_table
from trainer.report.data_table import Cell, table
from trainer.report.markup import Picture
from trainer.report.section import Card, Head, Link, Section
from trainer.report.sweep_figures import figures
from trainer.report.sweep_table import Sweep, Trial, labels, text_of
from trainer.storage import files
from trainer.storage.workdir import CELLS, REPORT


def write(workdir: epath.Path) -> epath.Path:
    """Writes `report/index.html` and the PNGs of a sweep from its sweep.json.

    Returns:
      The path of the page. It refers to nothing but the page of the best trial.

    Raises:
      ReportError: sweep.json, or a file of a trial, is missing or malformed.
      OSError: the report's folder cannot be written.
    """
    sweep = sweep_table.read_sweep(workdir)
    page = workdir / REPORT
    for name, figure in figures(sweep):
        markup.draw_picture(Picture(f"sweep_{name}", figure), page.parent)
    sections = [*sweep_charts.sections(sweep), _trials(sweep)]
    sections.append(_reproduction(sweep, workdir))
    files.write_text(page, markup.document(_head(sweep, workdir), sections))
    return page


def _head(sweep: Sweep, workdir: epath.Path) -> Head:
    links = []
    best = sweep["best"]
    if best and files.exists(workdir / CELLS / best["cell"] / REPORT):
        address = f"../{CELLS}/{best['cell']}/{REPORT}"
        links.append(Link(text="the best trial, with the test split", address=address))
    counts = sweep_table.counts(sweep)
    return Head(
        title=str(sweep["name"]),
        kind="Sweep",
        facts=((f"{len(sweep['trials'])} trials:", counts),),
        verdict=sweep_table.best_line(sweep),
        cards=tuple(_cards(sweep)),
        links=tuple(links),
    )


def _cards(sweep: Sweep) -> Iterator[Card]:
    best, names = sweep["best"], labels(sweep)
    if best:
        yield Card(
            title=f"Best {sweep['metric']}",
            number=text_of(best["value"]),
            note=f"trial {best['number']}",
        )
    if sweep["importance"]:
        path, share = max(sweep["importance"].items(), key=lambda item: item[1])
        yield Card(
            title="Setting that matters most",
            number=names[path],
            note=f"{100 * share:.0f} % of the importance",
            share=share,
        )


def _trials(sweep: Sweep) -> Section:
    rows = [_row(sweep, trial) for trial in sweep["trials"]]
    return Section(
        name="trials",
        title="Trials",
        part="table",
        content=table(sweep_table.header(sweep), rows),
    )


def _reproduction(sweep: Sweep, workdir: epath.Path) -> Section:
    cells = dict.fromkeys(trial["cell"] for trial in sweep["trials"])
    # A sweep of an earlier version kept no more of its section.
    asked = {name: sweep[name] for name in ("space", "metric")}
    return reproduction.section_of_cells(
        "sweep", workdir, cells, sweep=sweep.get("asked", asked)
    )


def _row(sweep: Sweep, trial: Trial) -> list[str | Cell]:
    *cells, status = sweep_table.row(sweep, trial)
    return [*cells, Cell(text=status, hint=trial["reason"] or "")]
