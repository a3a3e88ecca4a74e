"""The report of a run as one HTML file that needs no other, and PNGs beside it."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from etils import epath

from trainer.config.selection import ACCURACY
from trainer.report import (
    class_table,
    conclusion,
    crossval_table,
    dark_panels,
    exported,
    gallery,
    image_view,
    inputs,
    loss_settings,
    markup,
    more_seeds,
    pictures,
    reproduction,
    run_charts,
    siblings,
    table,
    verdict,
)
from trainer.report.amounts import value
from trainer.report.calibration_charts import calibration_charts
from trainer.report.colours import slots
from trainer.report.confusion import confusion
from trainer.report.data_table import table as data_table
from trainer.report.data_table import with_dots
from trainer.report.metric_texts import selecting, text_of
from trainer.report.run_cards import cards
from trainer.report.section import Head, Section
from trainer.storage import files
from trainer.storage.workdir import REPORT

_AXIS = ", whose axis starts after the climb from chance"


def write(workdir: epath.Path) -> epath.Path:
    """Writes `report/*.png` and `report/index.html`, each complete or not at all.

    Reads `config.json`, `results.json`, `predictions.npz` and every model's
    `metrics.jsonl` under `workdir`; `crossval.json`, `export.json` and the files of
    `evaluation/` where they are.

    Returns:
      The path of the page. All that it shows is inside it; of other files it names the
      pages of the cells beside it alone.

    Raises:
      ReportError: an input is missing or malformed; says which and what to run.
      OSError: the report's folder cannot be written.
    """
    found = inputs.read(workdir)
    page = workdir / REPORT
    for picture in pictures.pictures(found):
        markup.draw_picture(picture, page.parent)
    content = markup.document(_head(found, workdir), list(_sections(found, workdir)))
    files.write_text(page, content)
    return page


def _head(found: inputs.Inputs, workdir: epath.Path) -> Head:
    results = found.results
    has_gain = verdict.verdict(results) != verdict.UNMEASURED
    said = f"The student is {verdict.verdict(results)}." if has_gain else ""
    return Head(
        title=str(results.get("name", "run")),
        kind="Distillation report",
        facts=tuple(_facts(found.config)),
        verdict=said,
        way=more_seeds.way(results, workdir, named=reproduction.folder(found.config)),
        summary=conclusion.summary(results),
        cards=cards(results),
        links=siblings.links(workdir),
    )


def _facts(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
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
    return ((name, str(fact)) for name, fact in facts.items() if fact is not None)


def _sections(found: inputs.Inputs, workdir: epath.Path) -> Iterator[Section]:
    yield _comparison(found.results)
    yield from _curves(found)
    yield from gallery.section(found)
    yield from dark_panels.section(found, most=pictures.MAX_EXAMPLES)
    yield _calibration(found)
    yield _confusion(found)
    yield class_table.section(found)
    yield _seeds(found.results)
    yield from crossval_table.sections(workdir)
    yield from exported.sections(workdir)
    yield reproduction.section(found)


def _comparison(results: dict[str, Any]) -> Section:
    compared = table.comparison(results)
    return Section(
        name="comparison",
        title="Comparison",
        part="comparison",
        content={
            "table": data_table(compared.header, _dotted(compared.rows, results)),
            "notes": compared.notes,
            "charts": run_charts.error_charts(results),
        },
    )


def _curves(found: inputs.Inputs) -> Iterator[Section]:
    metric = selecting(found.results)
    charts = run_charts.learning_curves(found.histories, metric=metric)
    terms = run_charts.term_curves(found.histories.get("student", []))
    if terms:
        charts.append(terms)
    silent = [name for name, runs in found.histories.items() if not runs]
    yield Section(
        name="curves",
        title="Learning curves",
        part="charts",
        content=charts,
        note="Thin lines are seeds, the thick line their mean. Compare the models by "
        f"their validation {text_of(metric).title}"
        f"{_AXIS if metric == ACCURACY else ''}. The train losses are not one "
        "quantity: the student's mixes soft and hard targets, so read their slope and "
        "not their height."
        + (pictures.FROM_STUDENT if "finetune" in found.histories else "")
        + (f" Without a history: {', '.join(silent)}." if silent else ""),
    )


def _calibration(found: inputs.Inputs) -> Section:
    predictions = found.predictions
    return Section(
        name="calibration",
        title="Calibration",
        part="panels",
        content=list(calibration_charts(predictions.logits, predictions.labels)),
        note="A dot is the test examples of one of 15 equal bins of the confidence, "
        "larger where they are more, its line the 95% interval of their accuracy. Dots "
        "on the dashed line are honest; dots below it are overconfident. ECE is the "
        "mean distance from the dashed line, weighted by examples. First seed, "
        "selected checkpoint.",
    )


def _confusion(found: inputs.Inputs) -> Section:
    models = found.results["models"]
    matrices = {
        name: np.array(models[name]["test"]["confusion_matrix"])
        for name in inputs.model_names(found.results)
    }
    return Section(
        name="confusion",
        title="Confusion matrices",
        part="confusion",
        content=confusion(matrices, found.predictions.class_names),
        note="A row is a true class and shows where its test examples went: the "
        "diagonal is right, anything else an error. Colour is the share of the row, on "
        "a scale stretched at its low end so that rare errors show; numbers are "
        "examples. First seed, selected checkpoint.",
    )


def _seeds(results: dict[str, Any]) -> Section:
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
            row.append(value(bias, digits=2))
    gain = (results.get("gain") or {}).get("errors", {})
    by_seed = ", ".join(f"{errors:+g}" for errors in gain.get("per_seed", ()))
    gains = (
        f" Gain over the baseline by seed, in best errors: {by_seed}." if gain else ""
    )
    return Section(
        name="seeds",
        title="Seeds",
        part="table",
        content=data_table(header, _dotted(rows, results)),
        note="Errors on the test split: of the last step, and of the checkpoint that "
        f"the validation split chose.{gains}",
    )


def _seed_cells(seed: dict[str, Any]) -> Iterator[str]:
    numbers = [seed["seed"]]
    for kind in ("last", "best"):
        numbers += [seed[kind]["errors"], seed[kind]["step"]]
    for number in numbers:
        yield "-" if number is None else f"{number:,}"  # None of an ensemble


def _dotted(rows: Iterable[Any], results: dict[str, Any]) -> Any:
    """The rows with the dots of the models' colours."""
    colours = slots(inputs.model_names(results))
    return with_dots(
        rows, {inputs.display_name(name): slot for name, slot in colours.items()}
    )
