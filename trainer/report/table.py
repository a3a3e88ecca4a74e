"""The comparison of a run's models, as rows for any page and as terminal text.

Everything here is plain ASCII; what shows it may turn `+-` into a nicer sign.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from trainer.config.selection import ACCURACY
from trainer.report.amounts import value
from trainer.report.inputs import display_name, is_corrected, model_names, original
from trainer.report.metric_texts import selecting, text_of
from trainer.report.verdict import line

TIMES = "inference_ms_per_example"  # of a model, by batch size

Columns = tuple[tuple[str, str], ...]  # metrics and what stands above them
METRICS: Columns = (
    ("errors", "test errors"),
    ("accuracy", "accuracy %"),
    ("nll", "NLL"),
    ("ece", "ECE"),
    ("agreement", "agreement %"),
)
# Where classes are weighted, or another metric than accuracy selects.
BY_CLASS: Columns = (
    ("balanced_accuracy", "balanced acc. %"),
    ("macro_f1", "macro F1 %"),
    ("auc", "AUC"),
)
EXCLUDED = ("excluded_errors", "excluded errors")  # where classes are excluded


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The models side by side: one header, one row a model, the same cells anywhere."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # as long as the header; the model's name first
    notes: tuple[str, ...]  # what `+-` means in the cells, and what has no column


def comparison(results: dict[str, Any]) -> Comparison:
    """The comparison of `results`, the object that `results.json` holds.

    Errors and accuracy are of the test split at each seed's selected checkpoint, NLL is
    in nats, agreement is with the teacher's argmax. A cell without a value is `-`.

    Raises:
      KeyError: `results` holds no models, or a model lacks `parameters` or `mean`.
    """
    models = results["models"]
    columns: Columns = METRICS
    if any(EXCLUDED[0] in model["mean"] for model in models.values()):
        columns = (METRICS[0], EXCLUDED, *METRICS[1:])
    if _is_by_class(results):
        known = {name for model in models.values() for name in model["mean"]}
        by_class = tuple(column for column in BY_CLASS if column[0] in known)
        place = [name for name, *_ in columns].index("accuracy") + 1
        columns = (*columns[:place], *by_class, *columns[place:])
    header = ("model", "parameters", *(column for _, column in columns))
    rows = [_row(name, models[name], columns) for name in model_names(results)]
    notes = (
        *(
            _validation_line(results),
            _selection_line(results),
            _spreads(models),
            _excluded_line(models),
            _biases(models),
        ),
        *(*_times(models), str(results.get("duplicates", ""))),
    )
    return Comparison(
        header=(*header, "train examples/s"),
        rows=tuple(rows),
        notes=tuple(filter(None, notes)),
    )


def render(results: dict[str, Any], way: str = "") -> str:
    """The comparison as aligned ASCII text, the verdict last; no final newline.

    The `way` to more seeds is said by who knows where the run is.
    """
    return "\n".join([*lines(results), line(results, way)])


def lines(results: dict[str, Any]) -> list[str]:
    """The same line by line, without the verdict."""
    table = comparison(results)
    return [*align([table.header, *table.rows]), *table.notes]


def align(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of text of a header and the rows below it; the first cells are names."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = [_align(row, widths) for row in rows]
    text.insert(1, "  ".join("-" * width for width in widths))
    return text


def _validation_line(results: dict[str, Any]) -> str:
    return "; ".join(
        f"{each['role']} is used as it is: {100 * each['accuracy']:.2f} % accuracy on "
        f"{each['examples']:,} validation examples"
        for each in results.get("teacher_validation", ())
    )


def _is_by_class(results: dict[str, Any]) -> bool:
    """Whether accuracy alone says too little of what the run asked for."""
    is_weighted = bool(results.get("class_weights"))  # earlier versions have none
    return is_weighted or selecting(results) != ACCURACY


def _selection_line(results: dict[str, Any]) -> str:
    if not _is_by_class(results):
        return ""
    weights = results.get("class_weights", {}).values()
    weighted = (
        f"; classes count {min(weights):.3g} to {max(weights):.3g} in the loss on the "
        "labels"
        if weights
        else ""
    )
    return f"students are selected by {selecting(results)}{weighted}"


def _spreads(models: dict[str, Any]) -> str:
    counts = {"seeds": 0, "members": 0}
    for name, model in models.items():
        what = "members" if name == "member" else "seeds"
        counts[what] = max(counts[what], len(model["seeds"]))
    over = " or ".join(f"{n} {what}" for what, n in counts.items() if n > 1)
    return f"mean +- standard deviation over {over}" if over else ""


def _excluded_line(models: dict[str, Any]) -> str:
    counts = {
        int(model["mean"]["excluded_examples"])
        for model in models.values()
        if "excluded_examples" in model["mean"]
    }
    return "".join(
        f"excluded errors: on the {count:,} test examples of data.exclude_labels"
        for count in counts
    )


def _biases(models: dict[str, Any]) -> str:
    found = [
        f"{original(name)} "
        + value(model["mean"]["class_bias"], model["std"]["class_bias"], digits=2)
        for name, model in models.items()
        if is_corrected(name)
    ]
    if not found:
        return ""
    return f"class bias, of least errors on the validation split: {', '.join(found)}"


def _times(models: dict[str, Any]) -> list[str]:
    """A line for each batch size, where teacher and student were timed."""
    teacher, student = (
        models.get(name, {}).get(TIMES, {}) for name in ("teacher", "student")
    )
    return [
        f"inference, batch {size}: teacher {taken:.3g} ms, student {student[size]:.3g} "
        f"ms per example, ratio {taken / student[size]:.3g}"
        for size, taken in teacher.items()
    ]


def _row(name: str, model: dict[str, Any], columns: Columns) -> tuple[str, ...]:
    mean, std = model["mean"], model["std"]
    metrics = [
        text_of(metric).number(mean.get(metric), std.get(metric))
        for metric, _ in columns
    ]
    speed = model.get("train_examples_per_sec")
    return (
        display_name(name),
        "-" if model["parameters"] is None else f"{model['parameters']:,}",
        *metrics,
        "-" if speed is None else f"{speed:,.0f}",
    )


def _align(cells: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers = cells
    columns = [
        number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)
    ]
    return "  ".join([name.ljust(widths[0]), *columns])
