"""The figures of a report, as matplotlib figures without any global state.

Shapes: M = examples, C = classes.
A model keeps its colour and its place in every figure: both follow the order in which
the models are given, so every figure of a report is given them in the same order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.config.selection import ACCURACY, TITLE
from trainer.evaluation.calibration import (
    ReliabilityBins,
    reliability_bins,
    wilson_interval,
)
from trainer.report.colours import palette
from trainer.report.inputs import History, display_name
from trainer.report.metric_texts import text_of
from trainer.report.problems import ReportError

try:
    from matplotlib import cm, colors, ticker
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    raise ReportError(
        "the report's figures need matplotlib; run `pip install matplotlib`"
    ) from error

INK, FAINT, GRID = "#1f2328", "#6a737d", "#dfe3e8"
MAX_ANNOTATED_CLASSES = 12  # in a confusion matrix
MAX_CELLS = 150  # along one side of a confusion matrix
PANEL_COLUMNS = 3


def learning_curves(
    histories: Mapping[str, Sequence[History]], *, metric: str
) -> Figure:
    """Train loss and a validation metric against the step.

    Args:
      histories: model -> one history a seed, each the lines of a `metrics.jsonl` with
        `step` and, on some lines, `train/loss` and the `metric` after "eval/". A model
        without histories keeps its colour and draws nothing.
      metric: its name, such as "accuracy".

    Returns:
      A figure of two panels: seeds are thin lines, their mean a thick one.
    """
    drawing = Figure(figsize=(10, 3.9), layout="constrained")
    loss_axes, metric_axes = drawing.subplots(1, 2)
    text, losses, measured = text_of(metric), [], []
    for name, colour in palette(list(histories)).items():
        look: dict[str, Any] = {"colour": colour, "label": name}
        losses += _curves(loss_axes, histories[name], "train/loss", **look)
        look["factor"] = text.factor
        measured += _curves(metric_axes, histories[name], f"{TITLE}{metric}", **look)
    style(loss_axes, title="Train loss", x="step", y="loss (nats)")
    style(metric_axes, title=f"Validation {text.title}", x="step", y=text.label)
    if any(np.any(values > 0) for values in losses):
        loss_axes.set_yscale("log")
        loss_axes.yaxis.set_minor_locator(ticker.LogLocator(subs=(2, 5)))
        loss_axes.yaxis.set_major_formatter("{x:g}")
        loss_axes.yaxis.set_minor_formatter("{x:g}")
    if measured and metric == ACCURACY:
        # The climb from chance would flatten the part that tells the models apart.
        floor = min(values[len(values) // 8 :].min() for values in measured)
        top = max(values.max() for values in measured)
        margin = 0.06 * (top - floor) or 1.0
        metric_axes.set_ylim(floor - margin, min(top + margin, 100.5))
    if losses:
        loss_axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper right")
    return drawing


def _curves(
    axes: Any,
    histories: Sequence[History],
    key: str,
    *,
    colour: str,
    label: str,
    factor: float = 1,
) -> list[np.ndarray]:
    """Draws one metric of one model; returns the values of each run that has it."""
    runs = []
    for history in histories:
        points = [
            (row["step"], row[key]) for row in history if row.get(key) is not None
        ]
        if points:
            runs.append(np.array(points, dtype=np.float64) * (1, factor))
    if not runs:
        return []
    steps = runs[0][:, 0]
    share_steps = all(np.array_equal(run[:, 0], steps) for run in runs)
    thin = len(runs) > 1
    for i, run in enumerate(runs):
        text = plain(label) if i == 0 and not (thin and share_steps) else None
        width, alpha = (0.7, 0.45) if thin else (1.8, 1)
        # A line of one evaluation has no length.
        marker = "o" if len(run) == 1 else ""
        look = {"linewidth": width, "alpha": alpha, "marker": marker}
        axes.plot(*run.T, color=colour, label=text, **look)
    if thin and share_steps:
        mean = np.mean([run[:, 1] for run in runs], axis=0)
        noun = "networks" if label == "member" else "seeds"
        text = f"{plain(label)} (mean of {len(runs)} {noun})"
        axes.plot(steps, mean, color=colour, linewidth=1.8, label=text)
    return [run[:, 1] for run in runs]


def confusion_matrices(
    matrices: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> Figure:
    """One panel a model: the share of each true class by predicted class.

    Args:
      matrices: model -> counts int [C, C], a row for each true class.
      class_names: C names, on both axes; thinned where they would collide.

    Returns:
      A figure whose colours are row-normalised and whose numbers, up to 12 classes,
      are counts. The colour scale is stretched at its low end, where the errors are.
      Past 150 classes a cell is a block of neighbours and shows their highest share.
    """
    num_rows = -(-len(matrices) // PANEL_COLUMNS)
    num_columns = -(-len(matrices) // num_rows)
    size = (3.4 * num_columns + 0.5, 3.7 * num_rows)
    drawing = Figure(figsize=size, layout="constrained")
    panels = list(drawing.subplots(num_rows, num_columns, squeeze=False).flat)
    scale = cm.ScalarMappable(colors.PowerNorm(0.35, vmin=0, vmax=1), cmap="Blues")
    for axes, name in zip(panels, matrices, strict=False):
        counts = np.asarray(matrices[name])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        _draw_shares(axes, shares, cmap=scale.cmap, norm=scale.norm)
        num_errors = counts.sum() - np.trace(counts)
        plural = "" if num_errors == 1 else "s"
        title = f"{plain(display_name(name))}: {num_errors} error{plural}"
        axes.set_title(title, color=palette(list(matrices))[name], fontsize=11)
        _class_ticks(axes, class_names)
        if len(class_names) <= MAX_ANNOTATED_CLASSES:
            _annotate(axes, counts, shares)
    for axes in panels[len(matrices) :]:
        axes.remove()
    bar = drawing.colorbar(
        scale, ax=drawing.axes, shrink=0.7, aspect=30, ticks=(0, 0.01, 0.1, 0.5, 1)
    )
    bar.ax.set_yticklabels(["0", "1%", "10%", "50%", "100%"], fontsize=8, color=INK)
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
    return drawing


def _draw_shares(axes: Any, shares: np.ndarray, **colouring: Any) -> None:
    # More cells than pixels would be averaged away: a block shows its highest share.
    num_classes = len(shares)
    block = -(-num_classes // MAX_CELLS)
    size = -(-num_classes // block) * block
    blocks = np.pad(shares, (0, size - num_classes))
    blocks = blocks.reshape(size // block, block, size // block, block).max(axis=(1, 3))
    extent = (-0.5, size - 0.5, size - 0.5, -0.5)
    axes.imshow(blocks, extent=extent, interpolation="nearest", **colouring)
    axes.set(xlim=(-0.5, num_classes - 0.5), ylim=(num_classes - 0.5, -0.5))


def _class_ticks(axes: Any, class_names: Sequence[str]) -> None:
    every = -(-len(class_names) // 20)
    ticks = range(0, len(class_names), every)
    labels = [plain(class_names[tick], width=12) for tick in ticks]
    is_long = max(map(len, labels)) * len(labels) > 36  # characters of a panel's width
    axes.set_xticks(ticks, labels, fontsize=7, rotation=90 if is_long else 0)
    axes.set_yticks(ticks, labels, fontsize=7)
    axes.set_xlabel("predicted", fontsize=9, color=FAINT)
    axes.set_ylabel("true", fontsize=9, color=FAINT)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)


def _annotate(axes: Any, counts: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            # White on the dark half of the stretched colour scale.
            ink = "white" if shares[row, column] > 0.15 else INK
            text = f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"
            axes.text(column, row, text, color=ink, size=7, ha="center", va="center")


def reliability(
    logits: Mapping[str, np.ndarray], labels: np.ndarray, *, num_bins: int = 15
) -> Figure:
    """Reliability diagrams: accuracy against confidence (Guo et al., 2017).

    Args:
      logits: model -> float [M, C].
      labels: int [M], the true classes.
      num_bins: equal-width bins of the confidence.

    Returns:
      A figure with a column a model: above, the accuracy of each bin with its 95%
      interval; below, the share of the examples in each bin.

    Raises:
      ValueError: there is no example.
    """
    drawing = Figure(figsize=(3.2 * len(logits) + 0.5, 4.4), layout="constrained")
    panels = drawing.subplots(
        2,
        len(logits),
        squeeze=False,
        sharex=True,
        sharey="row",
        gridspec_kw={"height_ratios": (3, 1)},
    )
    for (upper, lower), (name, colour) in zip(
        panels.T, palette(list(logits)).items(), strict=True
    ):
        bins = reliability_bins(logits[name], labels, num_bins=num_bins)
        style(upper, title=plain(display_name(name)), title_colour=colour)
        style(lower, x="confidence (%)")
        _draw_reliability(upper, bins, colour=colour)
        centres = (bins.edges[:-1] + bins.edges[1:]) / 2
        lower.bar(centres, bins.count / len(labels), 0.8 / num_bins, color=colour)
        _percent_axes(upper)
        _percent_axes(lower)
    panels[0, 0].set_ylabel("accuracy (%)")
    panels[1, 0].set_ylabel("examples (%)")
    return drawing


def _percent_axes(axes: Any) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks((0, 0.25, 0.5, 0.75, 1))
        axis.set_major_formatter(ticker.PercentFormatter(1, symbol=None))


def _draw_reliability(axes: Any, bins: ReliabilityBins, *, colour: str) -> None:
    axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1, linestyle="--", label="ideal")
    low, high = wilson_interval(bins.accuracy * bins.count, bins.count)
    axes.vlines(bins.confidence, low, high, color=colour, linewidth=1, alpha=0.6)
    axes.plot(
        bins.confidence,
        bins.accuracy,
        color=colour,
        marker="o",
        markersize=5,
        linewidth=0,
        clip_on=False,
        zorder=3,  # above the frame, where accuracy is 0 or 1
        label=f"ECE {bins.ece:.4f}",
    )
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="best")


def style(
    axes: Any, *, title: str = "", x: str = "", y: str = "", title_colour: str = INK
) -> None:
    """The look shared by every plot: two spines, a light grid, quiet labels."""
    axes.set_title(title, color=title_colour, fontsize=11, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(fontsize=9, color=FAINT)
    axes.tick_params(which="both", labelsize=8, length=0, colors=INK)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(GRID)


def plain(text: str, *, width: int = 24) -> str:
    """`text` cut to `width` characters, its dollar signs kept from meaning formulas."""
    short = (
        text if len(text) <= width else text[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"
    )
    return short.replace("$", r"\$")
