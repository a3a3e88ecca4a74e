"""The report of a sweep: its figures, its table, and the page of its best trial."""

from etils import epath

from trainer.report import markup, sweep_table
from trainer.report.markup import Html, Picture, text
from trainer.report.sweep_figures import figures
from trainer.report.sweep_table import Sweep, Trial
from trainer.storage import files
from trainer.storage.workdir import CELLS, REPORT

_CAPTIONS = {
    "settings": "Filled dots are complete trials; open ones were ended early, and are "
    "where they were then.",
    "importance": "Share of each setting in what tells the best trials from the "
    "others (PED-ANOVA, Watanabe et al. 2023), over complete trials.",
    "parallel": "A line is a trial, the thick one the best; grey ones were ended "
    "early.",
}


def write(workdir: epath.Path) -> epath.Path:
    """Writes `report/index.html` and the PNGs of a sweep from its sweep.json.

    Returns:
      The path of the page. It refers to nothing but the page of the best trial.

    Raises:
      ReportError: sweep.json is missing or malformed.
      OSError: the report's folder cannot be written.
    """
    sweep = sweep_table.read_sweep(workdir)
    page = workdir / REPORT
    sections = [_head(sweep, workdir)]
    for name, title, figure in figures(sweep):
        picture = Picture(f"sweep_{name}", title, _CAPTIONS[name], figure)
        sections.append(markup.draw_picture(picture, page.parent))
    sections.append(_table(sweep))
    files.write_text(page, markup.document(f"{sweep['name']} - sweep", sections))
    return page


def _head(sweep: Sweep, workdir: epath.Path) -> str:
    more = ""
    best = sweep["best"]
    if best and files.exists(workdir / CELLS / best["cell"] / REPORT):
        address = f"../{CELLS}/{best['cell']}/{REPORT}"
        more = f" ({markup.link(address, 'its report, with the test split')})"
    return (
        f"<h1>{text(sweep['name'])}</h1>\n"
        f'<p class="note">{len(sweep["trials"])} trials: '
        f"{text(sweep_table.counts(sweep))}</p>\n"
        f'<p class="summary">{text(sweep_table.best_line(sweep))}{more}</p>'
    )


def _table(sweep: Sweep) -> str:
    rows = [_row(sweep, trial) for trial in sweep["trials"]]
    return f"<h2>Trials</h2>\n{markup.table(sweep_table.header(sweep), rows)}"


def _row(sweep: Sweep, trial: Trial) -> list[str]:
    *cells, status = sweep_table.row(sweep, trial)
    if trial["reason"]:
        status = Html(f'<span title="{text(trial["reason"])}">{text(status)}</span>')
    return [*cells, status]
