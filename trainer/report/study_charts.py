"""The chart of a study's page: test errors of students and baselines over its grid."""

from collections.abc import Sequence

from trainer.config import value_text
from trainer.report.amounts import value
from trainer.report.chart import Axis, Chart, dotted_rows, plot
from trainer.report.colours import PALETTE, QUIET
from trainer.report.marks import Series, spread
from trainer.report.study_axis import groups, numeric_axis
from trainer.report.study_table import Cell, Study, labels


def study_chart(study: Study) -> Chart | None:
    """Errors against the numeric setting with the most values, else cell by cell.

    None where no cell is finished.
    """
    cells = [cell for cell in study["cells"] if cell["status"] == "finished"]
    if not cells:
        return None
    axis = numeric_axis(study["grid"])
    return _rows(cells) if axis is None else _lines(study, cells, axis)


def _lines(study: Study, cells: Sequence[Cell], axis: str) -> Chart | None:
    series = []
    found = groups(study, cells, axis)
    for i, (title, group) in enumerate(found.items()):
        group = sorted(group, key=lambda cell: float(cell["settings"][axis]))
        at = [float(cell["settings"][axis]) for cell in group]
        for role in ("student", "baseline"):
            models = [cell["models"][role] for cell in group]
            means = [float(model["mean"]["errors"]) for model in models]
            series.append(
                Series(
                    name=f"{title}: {role}" if title else role,
                    points=list(zip(at, means, strict=True)),
                    limits=_limits(group, role),
                    slot=i % len(PALETTE),
                    is_dashed=role == "baseline",
                )
            )
    ticks = tuple((float(v), value_text(v)) for v in sorted(study["grid"][axis]))
    return plot(
        "Test errors over the study",
        series,
        x=Axis(label=labels(study)[axis], ticks=ticks, log="wide"),
        y=Axis(label="errors (fewer: better)"),
    )


def _rows(cells: Sequence[Cell]) -> Chart:
    series = []
    for role, slot in (("baseline", QUIET), ("student", 0)):
        models = [cell["models"][role] for cell in cells]
        series.append(
            Series(
                name=role,
                points=[(float(m["mean"]["errors"]), i) for i, m in enumerate(models)],
                limits=_limits(cells, role),
                tips=[
                    f"{cell['name']}\n{role}: "
                    f"{value(m['mean']['errors'], m['std'].get('errors'), digits=1)}"
                    for cell, m in zip(cells, models, strict=True)
                ],
                slot=slot,
                is_hollow=role == "baseline",
            )
        )
    names = [", ".join(map(value_text, cell["settings"].values())) for cell in cells]
    title = "Test errors of each cell"
    return dotted_rows(title, series, names, x_label="errors (fewer: better)")


def _limits(cells: Sequence[Cell], role: str) -> list[tuple[float, float] | None]:
    models = [cell["models"][role] for cell in cells]
    return [spread(m["mean"]["errors"], m["std"].get("errors")) for m in models]
