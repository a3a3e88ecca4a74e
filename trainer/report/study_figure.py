"""The figure of a study: test errors of students and baselines over its grid."""

import itertools
from collections.abc import Sequence
from typing import Any

from trainer.config import value_text
from trainer.report.colours import PALETTE
from trainer.report.figures import FAINT, INK, Figure, plain, style
from trainer.report.study_axis import groups, numeric_axis
from trainer.report.study_table import Cell, Study, labels

_DECADE = 10  # the largest value over the smallest that a linear axis shows well


def study_figure(study: Study) -> Figure | None:
    """Errors against the numeric setting with the most values, else cell by cell.

    None where no cell is finished.
    """
    cells = [cell for cell in study["cells"] if cell["status"] == "finished"]
    if not cells:
        return None
    axis = numeric_axis(study["grid"])
    return _dots(cells) if axis is None else _lines(study, cells, axis)


def _lines(study: Study, cells: Sequence[Cell], axis: str) -> Figure:
    drawing = Figure(figsize=(8.4, 4.6), layout="constrained")
    axes = drawing.subplots()
    for (title, group), colour in zip(
        groups(study, cells, axis).items(), itertools.cycle(PALETTE), strict=False
    ):
        group = sorted(group, key=lambda cell: float(cell["settings"][axis]))
        at = [float(cell["settings"][axis]) for cell in group]
        for role, line in (("student", "-"), ("baseline", "--")):
            text = f"{title}: {role}" if title else role
            look: dict[str, Any] = {
                "color": colour,
                "linestyle": line,
                "label": plain(text, width=48),
            }
            _errors(axes, at, group, role, marker="o", markersize=4, **look)
    style(
        axes,
        title="Test errors over the study",
        x=labels(study)[axis],
        y="errors (fewer: better)",
    )
    _number_axis(axes, study["grid"][axis])
    axes.legend(
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
    )
    return drawing


def _number_axis(axes: Any, values: Sequence[float]) -> None:
    if min(values) > 0 and max(values) / min(values) > _DECADE:
        axes.set_xscale("log")
    axes.set_xticks(sorted(values), [value_text(value) for value in sorted(values)])
    axes.minorticks_off()


def _dots(cells: Sequence[Cell]) -> Figure:
    size = (8.4, 1.4 + 0.34 * len(cells))
    drawing = Figure(figsize=size, layout="constrained")
    axes = drawing.subplots()
    places = list(range(len(cells)))
    for role, colour, face in (
        ("baseline", FAINT, "white"),
        ("student", PALETTE[0], PALETTE[0]),
    ):
        look = {"color": colour, "markerfacecolor": face, "label": role}
        _errors(
            axes,
            places,
            cells,
            role,
            flipped=True,
            linestyle="none",
            marker="o",
            **look,
        )
    style(axes, title="Test errors of each cell", x="errors (fewer: better)")
    axes.set_yticks(places, [plain(cell["name"], width=48) for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="best")
    return drawing


def _errors(
    axes: Any,
    places: Sequence[float],
    cells: Sequence[Cell],
    role: str,
    *,
    flipped: bool = False,
    **look: Any,
) -> None:
    """Draws the mean errors of a model, with their spread where seeds have one."""
    models = [cell["models"][role] for cell in cells]
    means = [model["mean"]["errors"] for model in models]
    spreads = [model["std"].get("errors") for model in models]
    bars = None if None in spreads else spreads
    look |= {"linewidth": 1.6, "capsize": 2.5, "elinewidth": 0.8}
    if flipped:
        axes.errorbar(means, places, xerr=bars, **look)
    else:
        axes.errorbar(places, means, yerr=bars, **look)
