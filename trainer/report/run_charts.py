"""The charts of a run: how models learned, by which terms, and what they got wrong."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.config.selection import ACCURACY, TITLE
from trainer.report.amounts import value
from trainer.report.chart import Axis, Chart, bars, dotted_rows, plot
from trainer.report.colours import slots
from trainer.report.inputs import History, display_name, model_names
from trainer.report.marks import Series, spread
from trainer.report.metric_texts import text_of

_NO_TERMS = ("loss", "accuracy", "gradient_norm", "learning_rate")
LOSS = Axis(label="loss (nats)", log="wide")


def error_charts(results: Mapping[str, Any]) -> list[Chart]:
    """The mean test errors of each model, and of the seeds of those that have some."""
    return [_error_bars(results), *_seeds(results)]


def _error_bars(results: Mapping[str, Any]) -> Chart:
    names = model_names(dict(results))
    colours = slots(names)
    rows = []
    for i, name in enumerate(names):
        mean, std = (
            results["models"][name][kind]["errors"] for kind in ("mean", "std")
        )
        rows.append(
            Series(
                name=name,
                points=[(mean, i)],
                limits=[spread(mean, std)],
                slot=colours[name],
                tips=[value(mean, std, digits=1)],
            )
        )
    return bars(
        "Test errors, fewer are better",
        rows,
        [display_name(name) for name in names],
        x_label="errors",
    )


def _seeds(results: Mapping[str, Any]) -> Iterator[Chart]:
    """The errors of student and baseline seed by seed, which began alike."""
    models = results["models"]
    roles = [role for role in ("baseline", "student") if role in models]
    if len(roles) < 2 or len(models["student"]["seeds"]) < 2:
        return
    colours = slots(model_names(dict(results)))
    series = []
    for role in roles:
        errors = [float(seed["best"]["errors"]) for seed in models[role]["seeds"]]
        series.append(
            Series(
                name=role,
                points=[(count, i) for i, count in enumerate(errors)],
                tips=[f"{role}: {count:g} errors" for count in errors],
                slot=colours[role],
            )
        )
    labels = [f"seed {seed['seed']}" for seed in models["student"]["seeds"]]
    title = "Test errors seed by seed, from the same weights"
    yield dotted_rows(title, series, labels, x_label="errors")


def learning_curves(
    histories: Mapping[str, Sequence[History]], *, metric: str
) -> list[Chart]:
    """A validation metric and the train loss against the step, a colour a model.

    `histories` are of the models, one a seed. Seeds are faint lines and their mean is
    one that is read, where they share their steps.
    """
    text = text_of(metric)
    values = list(_all(histories, f"{TITLE}{metric}", factor=text.factor))
    losses = list(_all(histories, "train/loss"))
    ends = accuracy_ends(values) if metric == ACCURACY else None
    found = (
        plot(
            f"Validation {text.title}",
            values,
            x=Axis(label="step"),
            y=Axis(label=text.label, ends=ends),
        ),
        plot("Train loss", losses, x=Axis(label="step"), y=LOSS),
    )
    return [chart for chart in found if chart]


def term_curves(histories: Sequence[History]) -> Chart | None:
    """The terms of the student's loss, its weights aside, against the step."""
    names = [name for name in _keys(histories) if _is_term(name)]
    if len(names) < 2:
        return None
    series: list[Series] = []
    for slot, name in enumerate(names):
        text = name.removeprefix("train/").replace("_", " ")
        series += _lines(histories, name, label=text, slot=slot % 6)
    return plot("Terms of the student's loss", series, x=Axis(label="step"), y=LOSS)


def accuracy_ends(series: Sequence[Series]) -> tuple[float, float] | None:
    """The ends of an axis without the climb from chance, which would flatten it."""
    shown = [[y for _, y in each.points] for each in series if each.points]
    if not shown:
        return None
    floor = min(min(values[len(values) // 8 :]) for values in shown)
    top = max(max(values) for values in shown)
    margin = 0.06 * (top - floor) or 1.0
    return floor - margin, min(top + margin, 100.5)


def points_of(history: History, key: str, *, factor: float = 1) -> list[tuple]:
    """The steps and values of a metric, where a line has it."""
    return [
        (float(row["step"]), factor * float(row[key]))
        for row in history
        if row.get(key) is not None
    ]


def _all(
    histories: Mapping[str, Sequence[History]], key: str, *, factor: float = 1
) -> Iterator[Series]:
    colours = slots(histories)
    for name, runs in histories.items():
        yield from _lines(runs, key, label=name, slot=colours[name], factor=factor)


def _lines(
    histories: Sequence[History],
    key: str,
    *,
    label: str,
    slot: int,
    factor: float = 1,
) -> list[Series]:
    """A line a seed and that of their mean; or one of a seed alone."""
    runs = [points_of(history, key, factor=factor) for history in histories]
    runs = [points for points in runs if points]
    if not runs:
        return []
    if len(runs) == 1:
        return [Series(name=label, points=runs[0], slot=slot)]
    steps = [[step for step, _ in points] for points in runs]
    if any(each != steps[0] for each in steps):
        return [
            Series(name=f"{label} {i + 1}", points=points, slot=slot)
            for i, points in enumerate(runs)
        ]
    seeds = [
        Series(name=label, points=points, slot=slot, is_faint=True) for points in runs
    ]
    mean = np.mean([[y for _, y in points] for points in runs], axis=0)
    noun = "networks" if label == "member" else "seeds"
    text = f"{label} (mean of {len(runs)} {noun})"
    points = list(zip(steps[0], map(float, mean), strict=True))
    return [*seeds, Series(name=text, points=points, slot=slot)]


def _keys(histories: Sequence[History]) -> list[str]:
    return list(
        dict.fromkeys(key for history in histories for row in history for key in row)
    )


def _is_term(name: str) -> bool:
    kind, _, metric = name.partition("/")
    return kind == "train" and metric not in _NO_TERMS and metric.endswith("_loss")
