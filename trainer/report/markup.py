"""Parts of the HTML pages of reports: the frame, texts, tables and pictures."""

import base64
import html
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from etils import epath

from trainer.report.figures import Figure
from trainer.storage import files

DOTS_PER_INCH = 150


class Html(str):
    """Text that is markup already."""


class Picture(NamedTuple):
    """A figure of a page: the stem of its PNG, what it is, how to read it."""

    stem: str
    title: str
    caption: str
    figure: Figure


def document(title: str, sections: Iterable[str]) -> str:
    """A whole page, with its style inside it."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n"
        "</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def text(value: object) -> Html:
    """`value` as HTML, where it is not; the ASCII of the tables gets its sign."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(str(value)).replace("+-", "&plusmn;"))


def link(address: str, label: str) -> Html:
    """A link to a path beside the page."""
    return Html(f'<a href="{urllib.parse.quote(address)}">{text(label)}</a>')


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column says what its rows are."""
    columns = "".join(f'<th scope="col">{text(column)}</th>' for column in header)
    lines = []
    for name, *cells in rows:
        numbers = "".join(f"<td>{text(cell)}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{text(name)}</th>{numbers}</tr>')
    return (
        f'<div class="table"><table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def draw_picture(picture: Picture, folder: epath.Path) -> str:
    """Writes the PNG of a picture into `folder`, and gives its section of the page.

    Raises:
      StorageError: the folder cannot be written.
    """
    path = folder / f"{picture.stem}.png"
    with files.atomic_path(path) as temporary:
        picture.figure.savefig(temporary, dpi=DOTS_PER_INCH)
        png = base64.b64encode(temporary.read_bytes()).decode("ascii")
    return (
        f'<h2>{text(picture.title)}</h2>\n<figure>\n<img alt="{text(picture.title)}" '
        f'src="data:image/png;base64,{png}">\n'
        f"<figcaption>{text(picture.caption)}</figcaption>\n</figure>"
    )


_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #59636e; --line: #d8dee4;
  --paper: #ffffff; --wash: #f5f7f9; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --faint: #9aa4ae;
  --line: #343b43; --paper: #15191d; --wash: #1d2227; --accent: #56b4e9; }
  img { filter: brightness(0.93); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 0.5rem; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 0.75rem; }
.facts { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0 0 1.25rem;
  padding: 0; list-style: none; color: var(--faint); }
.facts b { color: var(--ink); font-weight: 600; }
.summary { margin: 0; padding: 1rem 1.25rem; background: var(--wash);
  border-left: 4px solid var(--accent); border-radius: 0 6px 6px 0;
  font-size: 1.05rem; }
.note, figcaption { color: var(--faint); font-size: 0.9rem; }
.note { margin: 0.5rem 0; }
a { color: var(--accent); }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: 0.92rem; }
th, td { padding: 0.4rem 0.7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; padding-left: 0.25rem; }
thead th { color: var(--faint); font-weight: 500; }
tbody th { font-weight: 600; }
tbody tr:hover { background: var(--wash); }
th i { display: inline-block; width: 0.7em; height: 0.7em; margin-right: 0.5em;
  border-radius: 50%; }
figure { margin: 0; }
img { display: block; max-width: 100%; margin: 0 auto 0.75rem; padding: 0.5rem;
  background: #ffffff; border: 1px solid var(--line); border-radius: 6px; }
figcaption { max-width: 50rem; }
details { margin: 0.5rem 0; }
details > summary { cursor: pointer; color: var(--accent); }
pre { padding: 1rem; overflow-x: auto; background: var(--wash); border-radius: 6px;
  font-size: 0.85rem; }
"""
