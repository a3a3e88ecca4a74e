"""The report of a sweep: its figures, its table, and the page of its best trial."""

import base64
import html
import urllib.parse
from collections.abc import Iterable

from etils import epath

from trainer import files
from trainer.report import sweep_table
from trainer.report.page import DOTS_PER_INCH, STYLE
from trainer.report.sweep_figures import figures
from trainer.report.sweep_table import Sweep
from trainer.workdir import CELLS, REPORT

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
        png = page.parent / f"sweep_{name}.png"
        with files.atomic_path(png) as temporary:
            figure.savefig(temporary, dpi=DOTS_PER_INCH)
        sections.append(_figure(title, _CAPTIONS[name], png.read_bytes()))
    sections.append(_table(sweep))
    files.write_text(page, _document(sweep, sections))
    return page


def _document(sweep: Sweep, sections: Iterable[str]) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(sweep['name'])} - sweep</title>\n<style>{STYLE}"
        ".note a { color: var(--accent); }\n</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(sweep: Sweep, workdir: epath.Path) -> str:
    link = ""
    best = sweep["best"]
    if best and files.is_there(workdir / CELLS / best["cell"] / REPORT):
        address = urllib.parse.quote(f"../{CELLS}/{best['cell']}/{REPORT}")
        link = f' (<a href="{address}">its report, with the test split</a>)'
    return (
        f"<h1>{_text(sweep['name'])}</h1>\n"
        f'<p class="note">{len(sweep["trials"])} trials: '
        f"{_text(sweep_table.counts(sweep))}</p>\n"
        f'<p class="summary">{_text(sweep_table.best_line(sweep))}{link}</p>'
    )


def _figure(title: str, caption: str, png: bytes) -> str:
    source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return (
        f'<h2>{_text(title)}</h2>\n<figure>\n<img alt="{_text(title)}" '
        f'src="{source}">\n<figcaption>{_text(caption)}</figcaption>\n</figure>'
    )


def _table(sweep: Sweep) -> str:
    columns = sweep_table.header(sweep)
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    lines = []
    for trial in sweep["trials"]:
        cells = [_text(cell) for cell in sweep_table.row(sweep, trial)]
        if trial["reason"]:
            cells[-1] = f'<span title="{_text(trial["reason"])}">{cells[-1]}</span>'
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return (
        f'<h2>Trials</h2>\n<div class="table"><table>\n<thead><tr>{head}</tr></thead>'
        "\n<tbody>\n" + "\n".join(lines) + "\n</tbody></table></div>"
    )


def _text(value: object) -> str:
    return html.escape(str(value))
