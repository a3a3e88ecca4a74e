"""The table of a run's classes: how many of each its models find, and how surely."""

import numpy as np

from trainer.report import inputs
from trainer.report.amounts import value
from trainer.report.data_table import table
from trainer.report.inputs import Inputs
from trainer.report.section import Section

MOST = 20  # rows of the open table
# Of a model's metrics, with the end of its column's name; earlier versions had one.
_METRICS = (("per_class_accuracy", "%"), ("per_class_precision", "precision %"))


def section(found: Inputs) -> Section:
    """The part of a page; of many classes the hardest, and all of them folded."""
    names = inputs.model_names(found.results)
    tests = {name: found.results["models"][name]["test"] for name in names}
    columns = [
        (f"{inputs.display_name(name)} {text}", _shares(tests[name][metric]))
        for metric, text in _METRICS
        for name in names
        if metric in tests[name]
    ]
    counts = np.array(tests[names[0]]["confusion_matrix"]).sum(axis=1)
    rows = [
        (
            name,
            f"{counts[i]:,}",
            *(value(shares[i], factor=100, digits=1) for _, shares in columns),
        )
        for i, name in enumerate(found.predictions.class_names)
    ]
    header = ("class", "test examples", *(text for text, _ in columns))
    # A class without examples has no accuracy, and is not among the hardest.
    accuracies = [np.nan_to_num(shares, nan=1) for _, shares in columns[: len(names)]]
    hardest = np.argsort(np.sum(accuracies, axis=0), kind="stable")
    is_long = len(rows) > MOST
    shown = [rows[index] for index in hardest[:MOST]] if is_long else rows
    about = f"The {MOST} hardest of {len(rows)} classes, by the mean of the models. "
    return Section(
        name="classes",
        title="Accuracy by class",
        part="folded",
        content={
            "shown": table(header, shown),
            "whole": table(header, rows) if is_long else None,
            "summary": f"All {len(rows)} classes",
        },
        note=(about if is_long else "")
        + "The share of a class's examples that is found, its recall; precision is the "
        "share that is right of what is taken for the class. First seed.",
    )


def _shares(values: list[float | None]) -> np.ndarray:
    return np.array(values, dtype=np.float64)
