"""The report of a run as one HTML file that needs no other, and its PNGs beside it."""

import base64
import html
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from etils import epath

from trainer import files
from trainer.report import (
    conclusion,
    crossval,
    exported,
    figures,
    inputs,
    pictures,
    table,
)
from trainer.workdir import REPORT

MAX_CLASSES = 20  # rows of the open table of classes
DOTS_PER_INCH = 150


def write(workdir: epath.Path) -> epath.Path:
    """Writes `report/*.png` and `report/index.html`, each complete or not at all.

    Reads `config.json`, `results.json`, `predictions.npz` and every model's
    `metrics.jsonl` under `workdir`, `crossval.json` and `export.json` where they are.

    Returns:
      The path of the page. Images and style are inside it; it refers to nothing else.

    Raises:
      ReportError: an input is missing or malformed; says which and what to run.
      OSError: the report's folder cannot be written.
    """
    found = inputs.read(workdir)
    page = workdir / REPORT
    folder = page.parent
    sections = [_head(found), _comparison(found.results)]
    for picture in pictures.pictures(found):
        png = folder / f"{picture.stem}.png"
        with files.atomic_path(png) as temporary:
            picture.figure.savefig(temporary, dpi=DOTS_PER_INCH)
        sections.append(_figure(picture, png.read_bytes()))
    sections += [_classes(found), _seeds(found.results)]
    sections += [*crossval.sections(workdir, _table)]
    sections += [*exported.sections(workdir, _table), _config(found.config)]
    files.write_text(page, _document(found.results, sections))
    return page


def _document(results: dict[str, Any], sections: Iterable[str]) -> str:
    title = html.escape(str(results.get("name", "run")))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title} - distillation report</title>\n<style>{STYLE}</style>\n"
        "</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(found: inputs.Inputs) -> str:
    config = found.config
    seeds = config.get("seeds")
    facts = {
        "data": inputs.setting(config, "data", "dataset"),
        "teacher": _teacher(config),
        "student": inputs.setting(config, "student", "model"),
        "alpha": inputs.setting(config, "distill", "alpha"),
        "temperature": inputs.setting(config, "distill", "temperature"),
        "seeds": ", ".join(map(str, seeds)) if isinstance(seeds, list) else None,
    }
    items = [
        f"<li>{name} <b>{_text(fact)}</b></li>"
        for name, fact in facts.items()
        if fact is not None
    ]
    return (
        f"<h1>{_text(found.results.get('name', 'run'))}</h1>\n"
        f'<ul class="facts">{"".join(items)}</ul>\n'
        f'<p class="summary">{_text(conclusion.summary(found.results))}</p>'
    )


def _teacher(config: dict[str, Any]) -> Any:
    members = inputs.setting(config, "teacher", "members")
    if members is None:
        return inputs.setting(config, "teacher", "model")
    return "average of " + ", ".join(str(member.get("model")) for member in members)


def _comparison(results: dict[str, Any]) -> str:
    compared = table.comparison(results)
    notes = "".join(f'\n<p class="note">{_text(note)}</p>' for note in compared.notes)
    return (
        "<h2>Comparison</h2>\n"
        + _table(compared.header, compared.rows, names=inputs.model_names(results))
        + f"{notes}\n<p><b>{_text(compared.gain)}</b></p>"
    )


def _figure(picture: pictures.Picture, png: bytes) -> str:
    source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return (
        f'<h2>{_text(picture.title)}</h2>\n<figure>\n<img alt="{_text(picture.title)}" '
        f'src="{source}">\n<figcaption>{_text(picture.caption)}</figcaption>\n</figure>'
    )


def _classes(found: inputs.Inputs) -> str:
    names = inputs.model_names(found.results)
    tests = [found.results["models"][name]["test"] for name in names]
    class_names = found.predictions.class_names
    counts = np.array(tests[0]["confusion_matrix"]).sum(axis=1)
    shares = np.array([test["per_class_accuracy"] for test in tests], dtype=np.float64)
    rows = [
        (name, f"{count:,}", *(table.value(s, factor=100, digits=1) for s in column))
        for name, count, column in zip(class_names, counts, shares.T, strict=True)
    ]
    header = ("class", "test examples", *(f"{inputs.shown(name)} %" for name in names))
    whole = _table(header, rows)
    title = "<h2>Accuracy by class</h2>\n"
    if len(rows) <= MAX_CLASSES:
        return title + whole
    # A class without examples has no accuracy, and is not among the hardest.
    hardest = np.argsort(np.nan_to_num(shares, nan=1).sum(axis=0), kind="stable")
    shown = [rows[index] for index in hardest[:MAX_CLASSES]]
    return (
        f'{title}<p class="note">The {MAX_CLASSES} hardest of {len(rows)} classes, by '
        f"the mean of the models.</p>\n{_table(header, shown)}\n"
        f"<details><summary>All {len(rows)} classes</summary>{whole}</details>"
    )


def _seeds(results: dict[str, Any]) -> str:
    names = inputs.model_names(results)
    header = ["model", "seed", "last errors", "last step", "best errors", "best step"]
    rows = [
        [inputs.shown(name), *_seed_cells(seed)]
        for name in names
        for seed in results["models"][name]["seeds"]
    ]
    if any(inputs.is_corrected(name) for name in names):
        header.append("class bias")
        biases = (
            seed["best"].get("class_bias")
            for name in names
            for seed in results["models"][name]["seeds"]
        )
        for row, bias in zip(rows, biases, strict=True):
            row.append(table.value(bias, digits=2))
    gain = (results.get("gain") or {}).get("errors", {})
    by_seed = ", ".join(f"{errors:+g}" for errors in gain.get("per_seed", ()))
    gains = (
        f" Gain over the baseline by seed, in best errors: {by_seed}." if gain else ""
    )
    return (
        "<h2>Seeds</h2>\n"
        + _table(header, rows, names=names)
        + '\n<p class="note">Errors on the test split: of the last step, and of the '
        f"checkpoint that the validation split chose.{gains}</p>"
    )


def _seed_cells(seed: dict[str, Any]) -> Iterator[str]:
    numbers = [seed["seed"]]
    for kind in ("last", "best"):
        numbers += [seed[kind]["errors"], seed[kind]["step"]]
    for number in numbers:
        yield "-" if number is None else f"{number:,}"  # None of an ensemble


def _config(config: dict[str, Any]) -> str:
    text = json.dumps(config, indent=2, ensure_ascii=False)
    return (
        "<h2>Configuration</h2>\n<details><summary>As resolved for this run</summary>"
        f"<pre>{html.escape(text)}</pre></details>"
    )


def _table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, names: Sequence[str] = ()
) -> str:
    """An HTML table; a first cell that shows one of `names` gets its colour."""
    colours = {
        inputs.shown(name): colour for name, colour in figures.palette(names).items()
    }
    lines = []
    for name, *cells in rows:
        dot = f'<i style="background:{colours[name]}"></i>' if name in colours else ""
        numbers = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{dot}{_text(name)}</th>{numbers}</tr>')
    columns = "".join(f'<th scope="col">{_text(column)}</th>' for column in header)
    return (
        f'<div class="table"><table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def _text(value: object) -> str:
    """`value` as HTML text; the ASCII of the tables gets its sign."""
    return html.escape(str(value)).replace("+-", "&plusmn;")


STYLE = """
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
