"""The figures of a sweep: the metric against each setting, shares, all axes at once."""

from collections.abc import Iterator, Sequence
from typing import Any

from trainer.config import value_text
from trainer.report.colours import PALETTE
from trainer.report.figures import FAINT, GRID, INK, Figure, plain, style
from trainer.report.sweep_axes import SettingAxis, height
from trainer.report.sweep_table import Sweep, Trial, labels

_COLUMNS = 3  # of panels
_MAX_TICKS = 12  # values that are named along an axis


def figures(sweep: Sweep) -> Iterator[tuple[str, Figure]]:
    """Name and drawing of each figure for which there are trials."""
    shown = [trial for trial in sweep["trials"] if height(trial) is not None]
    if not shown:
        return
    yield "settings", settings_figure(sweep, shown)
    if sweep["importance"]:
        yield "importance", importance_figure(sweep)
    yield "parallel", parallel_figure(sweep, shown)


def settings_figure(sweep: Sweep, trials: Sequence[Trial]) -> Figure:
    """The metric of each trial against each setting."""
    names = labels(sweep)
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    drawing = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    panels = drawing.subplots(rows, columns, squeeze=False).flatten()
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for axes, (path, name) in zip(panels, names.items(), strict=False):
        scale = SettingAxis(sweep["space"][path])
        for status, colour, face in (
            ("pruned", FAINT, "white"),
            ("complete", PALETTE[0], PALETTE[0]),
        ):
            group = [trial for trial in trials if trial["status"] == status]
            axes.plot(
                [scale.place(trial["settings"][path]) for trial in group],
                [height(trial) for trial in group],
                linestyle="none",
                marker="o",
                markersize=5,
                color=colour,
                markerfacecolor=face,
                label=status if group else None,
            )
        style(axes, x=plain(name, width=40), y=sweep["metric"])
        _mark(axes.xaxis, scale)
    panels[0].legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")
    return drawing


def importance_figure(sweep: Sweep) -> Figure:
    """The share of each setting in how good trials are, the largest above."""
    names = labels(sweep)
    shares = sorted(sweep["importance"].items(), key=lambda item: item[1])
    drawing = Figure(figsize=(7, 1.2 + 0.4 * len(shares)), layout="constrained")
    axes = drawing.subplots()
    places = range(len(shares))
    axes.barh(places, [share for _, share in shares], color=PALETTE[0], height=0.6)
    axes.set_yticks(places, [plain(names[path], width=40) for path, _ in shares])
    axes.set_xlim(0, 1)
    style(axes, title="Importance", x="share")
    return drawing


def parallel_figure(sweep: Sweep, trials: Sequence[Trial]) -> Figure:
    """A line for each trial through its settings to its metric; the best is thick."""
    names = labels(sweep)
    heights = [found for trial in trials if (found := height(trial)) is not None]
    scales = {path: SettingAxis(values) for path, values in sweep["space"].items()}
    metric = SettingAxis({"low": min(heights), "high": max(heights), "log": False})
    columns = [*scales, ""]
    drawing = Figure(figsize=(2.2 * len(columns) + 1.5, 4.2), layout="constrained")
    axes = drawing.subplots()
    best = sweep["best"]["number"] if sweep["best"] else None
    for trial in trials:
        line = [scales[path].share(trial["settings"][path]) for path in scales]
        line.append(metric.share(height(trial)))
        is_best = trial["number"] == best
        is_complete = trial["status"] == "complete"
        axes.plot(
            range(len(columns)),
            line,
            color=PALETTE[1] if is_best else PALETTE[0] if is_complete else FAINT,
            linewidth=2.4 if is_best else 1,
            alpha=1 if is_best else 0.6,
            zorder=3 if is_best else 2,
        )
    for place, path in enumerate(columns):
        axes.axvline(place, color=GRID, linewidth=1, zorder=1)
        low, high = (scales[path] if path else metric).ends
        for text, y in ((low, -0.04), (high, 1.04)):
            where = "top" if y < 0 else "bottom"
            axes.text(place, y, text, ha="center", va=where, color=INK, fontsize=8)
    texts = [*(names[path] for path in scales), sweep["metric"]]
    axes.set_xticks(range(len(columns)), [plain(text, width=24) for text in texts])
    axes.set_yticks([])
    axes.set_ylim(-0.12, 1.12)
    axes.set_frame_on(False)
    return drawing


def _mark(axis: Any, scale: SettingAxis) -> None:
    """Gives a matplotlib axis its scale and its ticks."""
    if scale.is_log:
        axis.axes.set_xscale("log")
        round_values = scale.round_values()
        axis.set_ticks(round_values, [f"{value:g}" for value in round_values])
        axis.set_ticks([], minor=True)
    if scale.choices and len(scale.choices) <= _MAX_TICKS:
        axis.set_ticks(
            range(len(scale.choices)),
            [plain(value_text(choice), width=16) for choice in scale.choices],
        )
