"""The charts of a comparison: how students learned, and what their size buys."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.report import compared_table
from trainer.report.chart import Axis, Chart, plot
from trainer.report.colours import PALETTE, QUIET
from trainer.report.compared import Run, note
from trainer.report.marks import Series, spread
from trainer.report.run_charts import accuracy_ends, points_of

_FRONT = Series(name="front", points=(), slot=QUIET, is_stepped=True, is_faint=True)


def curves(runs: Sequence[Run]) -> Chart | None:
    """Validation accuracy (%) of the students against the step, a line a run.

    Where seeds were validated after the same steps the line is their mean, with their
    range around it; else it is the first seed's. None where no run has a history.
    """
    series = [each for i, run in enumerate(runs) for each in _curve(i, run)]
    return plot(
        "Students while they learn",
        series,
        x=Axis(label="step"),
        y=Axis(label="accuracy (%)", ends=accuracy_ends(series)),
    )


def prices(runs: Sequence[Run]) -> Iterator[Chart]:
    """Test accuracy (%) of the students against parameters, and against latency.

    A line joins the students that none beats in both, where all are tested on the same
    data.
    """
    for label, size in compared_table.prices(runs):
        dots = [each for i, run in enumerate(runs) for each in _dot(i, run, size)]
        if dots and not note(runs):
            best = compared_table.front([each.points[0] for each in dots])
            dots.insert(0, dataclasses.replace(_FRONT, points=best))
        chart = plot(
            f"Accuracy for its {label.partition(',')[0]}",
            dots,
            x=Axis(label=label, log="wide"),
            y=Axis(label="test accuracy (%)"),
        )
        if chart:
            yield chart


def _curve(number: int, run: Run) -> Iterator[Series]:
    seeds = [points_of(each, "eval/accuracy", factor=100) for each in run.curves]
    seeds = [points for points in seeds if points]
    if not seeds:
        return
    steps = [step for step, _ in seeds[0]]
    if any([step for step, _ in points] != steps for points in seeds):
        seeds = seeds[:1]
    values = np.array([[y for _, y in points] for points in seeds])
    mean, low, high = (find(values, axis=0) for find in (np.mean, np.min, np.max))
    yield Series(
        name=run.label,
        points=list(zip(steps, map(float, mean), strict=True)),
        band=list(zip(map(float, low), map(float, high), strict=True))
        if len(seeds) > 1
        else (),
        slot=number % len(PALETTE),
        is_dashed=number >= len(PALETTE),
    )


def _dot(number: int, run: Run, size: str | None) -> Iterator[Series]:
    student, place = run.models.get("student"), compared_table.price_of(run, size)
    if student is None or place is None:
        return
    accuracy = 100 * student["mean"]["accuracy"]
    deviation = student["std"].get("accuracy")
    yield Series(
        name=run.label,
        points=[(place, accuracy)],
        limits=[spread(accuracy, 100 * deviation if deviation else None)],
        tips=[f"{run.label}\n{accuracy:.2f} %, {place:,.4g}"],
        slot=number % len(PALETTE),
        is_line=False,
        is_hollow=number >= len(PALETTE),
    )
