"""The figures of a comparison: how students learned, and what their size buys."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.report.colours import PALETTE
from trainer.report.compared import Run, note
from trainer.report.compared_table import front, price_of, prices
from trainer.report.figures import FAINT, INK, Figure, plain, style

_LINES = ("-", "--", ":", "-.")  # the next one where the colours begin again
_MARKERS = ("o", "s", "^", "D")
_DECADE = 10  # the largest value over the smallest that a linear axis shows well

Point = tuple[float, float]


def curves(runs: Sequence[Run]) -> Figure | None:
    """Validation accuracy (%) of the students against the step, a line a run.

    Where seeds were validated after the same steps the line is their mean, with their
    range around it; else it is the first seed's. None where no run has a history.
    """
    drawing = Figure(figsize=(9.6, 4.4), layout="constrained")
    axes = drawing.subplots()
    drawn = []
    for run, (colour, line, _) in zip(runs, _looks(), strict=False):
        seeds = [points for points in map(_points, run.curves) if len(points)]
        if not seeds:
            continue
        if any(not np.array_equal(seeds[0][:, 0], seed[:, 0]) for seed in seeds):
            seeds = seeds[:1]
        steps = seeds[0][:, 0]
        values = np.array([seed[:, 1] for seed in seeds])
        if len(seeds) > 1:
            low, high = values.min(axis=0), values.max(axis=0)
            axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
        look: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.8}
        label = plain(run.label, width=40)
        axes.plot(steps, values.mean(axis=0), label=label, **look)
        drawn.append(values)
    if not drawn:
        return None
    # The climb from chance would flatten the part that tells the runs apart.
    floor = min(values[:, values.shape[1] // 8 :].min() for values in drawn)
    top = max(values.max() for values in drawn)
    margin = 0.06 * (top - floor) or 1.0
    axes.set_ylim(floor - margin, min(top + margin, 100.5))
    style(axes, title="Students while they learn", x="step", y="accuracy (%)")
    _legend(axes)
    return drawing


def pareto(runs: Sequence[Run]) -> Figure:
    """Test accuracy (%) of the students against parameters, and against latency.

    There is a panel for each batch size that was timed. A line joins the students that
    none beats in both, where all are tested on the same data.
    """
    panels = prices(runs)
    width = 4.2 * len(panels) + 2.2
    drawing = Figure(figsize=(width, 4.2), layout="constrained")
    for axes, (x, size) in zip(
        drawing.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        points = _draw(axes, runs, size)
        if not note(runs):
            _draw_front(axes, points)
        style(axes, title=f"Accuracy for its {x.partition(',')[0]}", x=x)
        if points and max(p[0] for p in points) > _DECADE * min(p[0] for p in points):
            axes.set_xscale("log")
    drawing.axes[0].set_ylabel("test accuracy (%)", fontsize=9, color=FAINT)
    # The first panel has all runs, the others those that were timed.
    _legend(drawing.axes[0], beside=drawing.axes[-1])
    return drawing


def _looks() -> Any:
    """Colour, line and marker of one run after the other."""
    rounds = zip(itertools.cycle(_LINES), itertools.cycle(_MARKERS), strict=False)
    return ((c, line, marker) for line, marker in rounds for c in PALETTE)


def _points(history: Sequence[dict[str, Any]]) -> np.ndarray:
    """Steps and validation accuracies in percent: float [K, 2]."""
    key = "eval/accuracy"
    found = [(x["step"], 100 * x[key]) for x in history if x.get(key) is not None]
    return np.array(found, np.float64)


def _draw(axes: Any, runs: Sequence[Run], size: str | None) -> list[Point]:
    points = []
    for run, (colour, _, marker) in zip(runs, _looks(), strict=False):
        student = run.models.get("student")
        cost = None if student is None else price_of(run, size)
        if student is None or cost is None:
            continue
        accuracy, spread = (student[x].get("accuracy") for x in ("mean", "std"))
        axes.errorbar(
            cost,
            100 * accuracy,
            yerr=None if spread is None else 100 * spread,
            color=colour,
            marker=marker,
            linestyle="none",
            capsize=2.5,
            elinewidth=0.8,
            label=plain(run.label, width=40),
        )
        points.append((cost, 100 * accuracy))
    return points


def _draw_front(axes: Any, points: Sequence[Point]) -> None:
    best = front(points)
    axes.plot(
        [cost for cost, _ in best],
        [accuracy for _, accuracy in best],
        color=FAINT,
        linewidth=1,
        drawstyle="steps-post",
        zorder=1,
    )


def _legend(axes: Any, *, beside: Any = None) -> None:
    handles, labels = axes.get_legend_handles_labels()
    (beside or axes).legend(
        handles,
        labels,
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
    )
