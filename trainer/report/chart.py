"""Charts as numbers: the places of lines, dots and labels in an SVG drawing."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from trainer.report import marks, scale
from trainer.report.marks import Mark, Series
from trainer.report.scale import Scale

WIDTH, HEIGHT = 400, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 10, 38
_LETTER = 6.4  # pixels
_LONGEST = 26  # letters of a label beside a row
_NUMBER = 76  # pixels behind a bar

Ticks = tuple[tuple[float, str], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing; places are in pixels of its own size."""

    title: str
    x_label: str
    y_label: str = ""  # none beside rows
    width: float = WIDTH
    height: float = HEIGHT
    box: tuple[float, float, float, float]  # left, top, right, bottom
    x_ticks: Ticks = ()
    y_ticks: Ticks = ()
    lines: tuple[Mark, ...] = ()
    areas: tuple[Mark, ...] = ()
    whiskers: tuple[Mark, ...] = ()
    dots: tuple[Mark, ...] = ()
    bars: tuple[Mark, ...] = ()
    legend: tuple[Mark, ...] = ()
    hover: tuple[Mark, ...] = ()
    columns: tuple[tuple[float, str, str], ...] = ()  # place, upper end, what it is
    is_wide: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis of numbers; its ends and ticks are found where they are not given."""

    label: str
    ends: tuple[float, float] | None = None
    ticks: Ticks = ()
    log: Literal["never", "wide", "always"] = "never"  # wide: values of decades

    def scale(self, values: list[float], *, start: float, end: float) -> Scale:
        """The scale that holds the values."""
        is_log = self.log == "always" or (
            self.log == "wide" and scale.spans_decades(values)
        )
        around = scale.log_around if is_log else scale.around
        low, high = self.ends or around(values)
        return Scale(low=low, high=high, start=start, end=end, is_log=is_log)


def plot(title: str, series: Sequence[Series], *, x: Axis, y: Axis) -> Chart | None:
    """Lines and dots between two axes of numbers; None where there are no points."""
    shown = [each for each in map(marks.finite, series) if each.points]
    if not shown:
        return None
    left, top, right, bottom = box = (_LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM)
    xs = [value for each in shown for value, _ in each.points]
    ys = [value for each in shown for value in marks.extent(each)]
    across = x.scale(xs, start=left, end=right)
    up = y.scale(ys, start=bottom, end=top)
    lines = [each for each in shown if each.is_line and len(each.points) > 1]
    return Chart(
        title=title,
        x_label=x.label,
        y_label=y.label,
        box=box,
        x_ticks=_ticks(across, x.ticks),
        y_ticks=_ticks(up, y.ticks),
        lines=tuple(marks.line(each, across, up) for each in lines),
        areas=tuple(marks.area(each, across, up) for each in lines if each.band),
        whiskers=tuple(marks.whiskers(shown, across, up)),
        dots=tuple(
            dot
            for dot in marks.dots(shown, across, up)
            if top <= dot["at"][1] <= bottom  # not in the climb before
        ),
        legend=tuple(marks.keys(shown)),
        hover=tuple(marks.hover(shown, across, up)),
    )


def bars(
    title: str, series: Sequence[Series], labels: Sequence[str], *, x_label: str
) -> Chart:
    """A row with a bar from zero for each of the `labels`."""
    values = [value for each in series for value in marks.reach(each)]
    ends = (0.0, max(values) or 1.0)
    chart, x, y = _rows(title, labels, ends, x_label=x_label, behind=_NUMBER)
    return dataclasses.replace(
        chart,
        bars=tuple(marks.bars(series, x, y)),
        whiskers=tuple(marks.whiskers(series, x, y, is_flat=True)),
    )


def dotted_rows(
    title: str, series: Sequence[Series], labels: Sequence[str], *, x_label: str
) -> Chart:
    """A row with a dot of each series for each of the `labels`."""
    ends = scale.around(value for each in series for value in marks.reach(each))
    chart, x, y = _rows(title, labels, ends, x_label=x_label, behind=0)
    flat = [dataclasses.replace(each, is_line=False) for each in series]
    return dataclasses.replace(
        chart,
        dots=tuple(marks.dots(flat, x, y)),
        whiskers=tuple(marks.whiskers(flat, x, y, is_flat=True)),
        legend=tuple(marks.keys(flat)),
    )


def cut(text: str, width: int) -> str:
    """The text, cut to `width` letters; names of one list differ at their ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{text[-tail:]}"


def _rows(
    title: str,
    labels: Sequence[str],
    ends: tuple[float, float],
    *,
    x_label: str,
    behind: float,
) -> tuple[Chart, Scale, Scale]:
    texts = [cut(label, _LONGEST) for label in labels]
    left = 20 + _LETTER * max(map(len, texts))
    bottom = _TOP + marks.ROW * len(labels)
    right = WIDTH - _RIGHT - behind
    x = Scale(low=ends[0], high=ends[1], start=left, end=right)
    y = Scale(low=-0.5, high=len(labels) - 0.5, start=_TOP, end=bottom)
    chart = Chart(
        title=title,
        x_label=x_label,
        height=bottom + _BOTTOM,
        box=(left, _TOP, right, bottom),
        x_ticks=_ticks(x, ()),
        y_ticks=tuple((y(i), text) for i, text in enumerate(texts)),
    )
    return chart, x, y


def _ticks(axis: Scale, given: Ticks) -> Ticks:
    ticks = given or [(value, scale.text_of_tick(value)) for value in axis.ticks()]
    return tuple((axis(value), text) for value, text in ticks)
