"""Marks of a chart: where the points of a series are in its drawing."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from trainer.report.scale import Scale, text_of_tick

ROW = 30  # pixels of a bar
_MOST_POINTS = 200  # of a line
_DOTTED = 12  # points of a line that are shown one by one
_RADIUS, _SMALL_RADIUS = 4.5, 2.0

Point = tuple[float, float]
Mark = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """Points of one thing, in the values of the axes.

    In rows a point is a value and the number of its row.
    """

    name: str
    points: Sequence[Point]
    slot: int = 0
    limits: Sequence[Point | None] = ()  # the ends of each point's whisker
    band: Sequence[Point] = ()  # the lowest and the highest at each point
    sizes: Sequence[float] = ()  # radii of the dots, in pixels
    tips: Sequence[str] = ()  # about each point
    is_line: bool = True
    is_faint: bool = False  # one of many, without a place in the legend
    is_dashed: bool = False
    is_hollow: bool = False
    is_stepped: bool = False  # without dots too


def spread(mean: float, deviation: float | None) -> Point | None:
    """The ends of the whisker of a mean; None without a deviation."""
    return (mean - deviation, mean + deviation) if deviation else None


def finite(series: Series) -> Series:
    """The series without points that cannot be placed, and thinned out."""
    kept = [i for i, xy in enumerate(series.points) if all(map(math.isfinite, xy))]
    if series.is_line and len(kept) > _MOST_POINTS:
        every = -(-len(kept) // _MOST_POINTS)
        kept = sorted({*kept[::every], kept[-1]})

    def pick(values: Sequence[Any]) -> list[Any]:
        return [values[i] for i in kept] if values else []

    return dataclasses.replace(
        series,
        points=pick(series.points),
        limits=pick(series.limits),
        band=pick(series.band),
        sizes=pick(series.sizes),
        tips=pick(series.tips),
    )


def extent(series: Series) -> Iterator[float]:
    """The values that the y axis has to hold."""
    yield from (y for _, y in series.points)
    yield from itertools.chain(*filter(None, series.limits), *series.band)


def reach(series: Series) -> Iterator[float]:
    """The values that the x axis of rows has to hold."""
    yield from (x for x, _ in series.points)
    yield from itertools.chain(*filter(None, series.limits))


def line(series: Series, x: Scale, y: Scale) -> Mark:
    """The path through the points."""
    places = [(x(a), y(b)) for a, b in series.points]
    if series.is_stepped:
        corners = [(b[0], a[1]) for a, b in itertools.pairwise(places)]
        mixed = itertools.zip_longest(places, corners)
        places = [place for pair in mixed for place in pair if place]
    return {
        "path": _path(places),
        "slot": series.slot,
        "is_faint": series.is_faint,
        "is_dashed": series.is_dashed,
    }


def area(series: Series, x: Scale, y: Scale) -> Mark:
    """The outline of the band."""
    xs = [x(a) for a, _ in series.points]
    low = [(a, y(b)) for a, (b, _) in zip(xs, series.band, strict=True)]
    high = [(a, y(b)) for a, (_, b) in zip(xs, series.band, strict=True)]
    return {"path": _path([*low, *reversed(high)]), "slot": series.slot}


def whiskers(
    series: Iterable[Series], x: Scale, y: Scale, *, is_flat: bool = False
) -> Iterator[Mark]:
    """The lines between limits, upright or `is_flat`, of the points that have them."""
    for each in series:
        for (a, b), limits in zip(each.points, each.limits, strict=False):
            if limits and is_flat:
                low = max(limits[0], x.low)
                yield _whisker((x(low), y(b)), (x(limits[1]), y(b)), each.slot)
            elif limits:
                yield _whisker((x(a), y(limits[0])), (x(a), y(limits[1])), each.slot)


def dots(series: Iterable[Series], x: Scale, y: Scale) -> Iterator[Mark]:
    """The dots of dotted series, and of lines of a few points."""
    for each in series:
        is_long = len(each.points) > _DOTTED
        if each.is_stepped or (each.is_line and is_long):
            continue
        radius = _SMALL_RADIUS if each.is_faint else _RADIUS
        for i, (a, b) in enumerate(each.points):
            yield {
                "at": (x(a), y(b)),
                "radius": round(each.sizes[i], 1) if each.sizes else radius,
                "slot": each.slot,
                "is_hollow": each.is_hollow,
                "is_faint": each.is_faint,
                "tip": each.tips[i] if each.tips else "",
            }


def bars(series: Iterable[Series], x: Scale, y: Scale) -> Iterator[Mark]:
    """The bars of rows, each with its tip as a text behind it."""
    for each in series:
        limits = each.limits or [None] * len(each.points)
        for (a, b), tip, ends in zip(each.points, each.tips, limits, strict=True):
            yield {
                "at": (x.start, round(y(b) - 0.3 * ROW, 1)),
                "size": (max(round(x(a) - x.start, 1), 1), 0.6 * ROW),
                "end": x(max(a, *(ends or [a]))) + 6,
                "text": tip,
                "slot": each.slot,
            }


def keys(series: Iterable[Series]) -> list[Mark]:
    """The legend: an entry for each name."""
    named = {each.name: each for each in series if each.name and not each.is_faint}
    return [
        {
            "name": each.name,
            "slot": each.slot,
            "is_dashed": each.is_dashed,
            "is_hollow": each.is_hollow,
        }
        for each in named.values()
    ]


def hover(series: Iterable[Series], x: Scale, y: Scale) -> Iterator[Mark]:
    """The points of lines that are read at the pointer, with their values as text."""
    for each in series:
        if each.is_line and not (each.is_faint or each.tips):
            points = [[x(a), y(b), text_of_tick(a), f"{b:.4g}"] for a, b in each.points]
            yield {"name": each.name, "slot": each.slot, "points": points}


def _path(places: Iterable[Point]) -> str:
    return " ".join(f"{a:g},{b:g}" for a, b in places)


def _whisker(start: Point, end: Point, slot: int) -> Mark:
    return {"from": start, "to": end, "slot": slot}
