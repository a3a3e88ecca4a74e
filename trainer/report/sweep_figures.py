"""The figures of a sweep: the metric against each setting, shares, all axes at once."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.config import value_text
from trainer.report.figures import FAINT, GRID, INK, PALETTE, Figure, plain, style
from trainer.report.sweep_table import Sweep, Trial, labels

_COLUMNS = 3  # of panels
_MAX_TICKS = 12  # values that are named along an axis


def figures(sweep: Sweep) -> Iterator[tuple[str, str, Figure]]:
    """Name, title and drawing of each figure for which there are trials."""
    shown = [trial for trial in sweep["trials"] if _height(trial) is not None]
    if not shown:
        return
    metric = sweep["metric"]
    yield "settings", f"{metric} against each setting", settings_figure(sweep, shown)
    if sweep["importance"]:
        yield "importance", "Importance of the settings", importance_figure(sweep)
    yield "parallel", "All settings of each trial", parallel_figure(sweep, shown)


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
        scale = _Scale(sweep["space"][path])
        for status, colour, face in (
            ("pruned", FAINT, "white"),
            ("complete", PALETTE[0], PALETTE[0]),
        ):
            group = [trial for trial in trials if trial["status"] == status]
            axes.plot(
                [scale.place(trial["settings"][path]) for trial in group],
                [_height(trial) for trial in group],
                linestyle="none",
                marker="o",
                markersize=5,
                color=colour,
                markerfacecolor=face,
                label=status if group else None,
            )
        style(axes, x=plain(name, width=40), y=sweep["metric"])
        scale.mark(axes.xaxis)
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
    heights = [height for trial in trials if (height := _height(trial)) is not None]
    scales = {path: _Scale(values) for path, values in sweep["space"].items()}
    metric = _Scale({"low": min(heights), "high": max(heights), "log": False})
    columns = [*scales, ""]
    drawing = Figure(figsize=(2.2 * len(columns) + 1.5, 4.2), layout="constrained")
    axes = drawing.subplots()
    best = sweep["best"]["number"] if sweep["best"] else None
    for trial in trials:
        line = [scales[path].share(trial["settings"][path]) for path in scales]
        line.append(metric.share(_height(trial)))
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


def _height(trial: Trial) -> float | None:
    """The metric of a trial; of one that was ended early the last that was seen."""
    if trial["status"] == "complete":
        return float(trial["value"])
    if trial["status"] == "pruned" and trial["reported"]:
        return float(trial["reported"][max(trial["reported"], key=int)])
    return None


class _Scale:
    """The positions of one setting's values on an axis."""

    def __init__(self, values: Mapping[str, Any] | Sequence[Any]) -> None:
        self._is_log = isinstance(values, Mapping) and bool(values["log"])
        self._choices = None if isinstance(values, Mapping) else list(values)
        if isinstance(values, Mapping):
            self._low, self._high = values["low"], values["high"]
        else:
            self._low, self._high = 0, len(values) - 1

    @property
    def ends(self) -> tuple[str, str]:
        """The first and the last value."""
        if self._choices:
            return value_text(self._choices[0]), value_text(self._choices[-1])
        return f"{self._low:.5g}", f"{self._high:.5g}"

    def place(self, value: Any) -> float:
        """The value, or the number of the choice."""
        return self._choices.index(value) if self._choices else float(value)

    def share(self, value: Any) -> float:
        """The distance from the low end, as a share of the axis from 0 to 1."""
        low, high, place = float(self._low), float(self._high), self.place(value)
        if low == high:
            return 0.5
        if self._is_log:
            return float(np.log(place / low) / np.log(high / low))
        return (place - low) / (high - low)

    def mark(self, axis: Any) -> None:
        """Gives a matplotlib axis its scale and its ticks."""
        if self._is_log:
            axis.axes.set_xscale("log")
            round_values = self._round_values()
            axis.set_ticks(round_values, [f"{value:g}" for value in round_values])
            axis.set_ticks([], minor=True)
        if self._choices and len(self._choices) <= _MAX_TICKS:
            axis.set_ticks(
                range(len(self._choices)),
                [plain(value_text(choice), width=16) for choice in self._choices],
            )

    def _round_values(self) -> list[float]:
        """1, 2, 5, 10 and so on between the ends; the powers of 10 if too many."""
        low, high = float(self._low), float(self._high)
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digits in ((1, 2, 5), (1,)):
            found = [float(f"{digit}e{power}") for power in powers for digit in digits]
            inside = [value for value in found if low <= value <= high]
            if len(inside) <= _MAX_TICKS:
                break
        return inside
