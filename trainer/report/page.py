"""The report of a run as one HTML file that needs no other, and its PNGs beside it."""

import html
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from etils import epath

from trainer.report import (
    conclusion,
    crossval_table,
    exported,
    figures,
    image_view,
    inputs,
    loss_settings,
    markup,
    pictures,
    table,
)
from trainer.report.markup import text
from trainer.storage import files
from trainer.storage.workdir import REPORT

MAX_CLASSES = 20  # rows of the open table of classes


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
    sections = [_head(found), _comparison(found.results)]
    sections += [
        markup.draw_picture(picture, page.parent)
        for picture in pictures.pictures(found)
    ]
    sections += [_classes(found), _seeds(found.results)]
    sections += [*crossval_table.sections(workdir, markup.table)]
    sections += [*exported.sections(workdir, markup.table), _config(found.config)]
    title = f"{found.results.get('name', 'run')} - distillation report"
    files.write_text(page, markup.document(title, sections))
    return page


def _head(found: inputs.Inputs) -> str:
    config = found.config
    seeds = config.get("seeds")
    facts = {
        "data": inputs.setting(config, "data", "dataset"),
        "view": image_view.text(config) or None,
        "teacher": inputs.teacher(config),
        "student": inputs.setting(config, "student", "model"),
        "weights" if loss_settings.terms(config) else "alpha": (
            loss_settings.weights(config)
        ),
        "temperature": loss_settings.temperature(config),
        "seeds": ", ".join(map(str, seeds)) if isinstance(seeds, list) else None,
    }
    items = [
        f"<li>{name} <b>{text(fact)}</b></li>"
        for name, fact in facts.items()
        if fact is not None
    ]
    return (
        f"<h1>{text(found.results.get('name', 'run'))}</h1>\n"
        f'<ul class="facts">{"".join(items)}</ul>\n'
        f'<p class="summary">{text(conclusion.summary(found.results))}</p>'
    )


def _comparison(results: dict[str, Any]) -> str:
    compared = table.comparison(results)
    notes = "".join(f'\n<p class="note">{text(note)}</p>' for note in compared.notes)
    return (
        "<h2>Comparison</h2>\n"
        + markup.table(compared.header, _add_dots(compared.rows, results))
        + f"{notes}\n<p><b>{text(compared.gain)}</b></p>"
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
    header = (
        "class",
        "test examples",
        *(f"{inputs.display_name(name)} %" for name in names),
    )
    whole = markup.table(header, rows)
    title = "<h2>Accuracy by class</h2>\n"
    if len(rows) <= MAX_CLASSES:
        return title + whole
    # A class without examples has no accuracy, and is not among the hardest.
    hardest = np.argsort(np.nan_to_num(shares, nan=1).sum(axis=0), kind="stable")
    shown = [rows[index] for index in hardest[:MAX_CLASSES]]
    return (
        f'{title}<p class="note">The {MAX_CLASSES} hardest of {len(rows)} classes, by '
        f"the mean of the models.</p>\n{markup.table(header, shown)}\n"
        f"<details><summary>All {len(rows)} classes</summary>{whole}</details>"
    )


def _seeds(results: dict[str, Any]) -> str:
    names = inputs.model_names(results)
    header = ["model", "seed", "last errors", "last step", "best errors", "best step"]
    rows = [
        [inputs.display_name(name), *_seed_cells(seed)]
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
        + markup.table(header, _add_dots(rows, results))
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


def _add_dots(
    rows: Iterable[Sequence[str]], results: dict[str, Any]
) -> Iterator[Sequence[str]]:
    """The rows with a dot before each model's name, of its colour in the figures."""
    colours = {
        inputs.display_name(name): colour
        for name, colour in figures.palette(inputs.model_names(results)).items()
    }
    for name, *cells in rows:
        dot = f'<i style="background:{colours[name]}"></i>' if name in colours else ""
        yield [markup.Html(dot + text(name)), *cells]
