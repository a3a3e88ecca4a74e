"""The comparison of a run's models, as rows for any page and as terminal text.

Everything here is plain ASCII; what shows it may turn `+-` into a nicer sign.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from trainer.report.inputs import model_names

# Two-sided 95% points of Student's t for 1, 2, ... degrees of freedom. From 11 on the
# tenth stands for all: the interval is then a little wide, never too narrow.
T_95 = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)

# (metric, column, factor, digits after the point of a mean over seeds)
METRICS = (
    ("errors", "test errors", 1, 1),
    ("accuracy", "accuracy %", 100, 2),
    ("nll", "NLL", 1, 3),
    ("ece", "ECE", 1, 4),
    ("agreement", "agreement %", 100, 2),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The models side by side: one header, one row a model, the same cells anywhere."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # as long as the header; the model's name first
    note: str  # what `+-` means in the cells; empty when there is none
    gain: str  # one line: errors saved against the baseline, paired by seed


def comparison(results: dict[str, Any]) -> Comparison:
    """The comparison of `results`, the object that `results.json` holds.

    Errors and accuracy are of the test split at each seed's selected checkpoint, NLL is
    in nats, agreement is with the teacher's argmax. A cell without a value is `-`.

    Raises:
      KeyError: `results` holds no models, or a model lacks `parameters` or `mean`.
    """
    header = ("model", "parameters", *(column for _, column, _, _ in METRICS))
    rows = [_row(name, results["models"][name]) for name in model_names(results)]
    return Comparison(
        header=(*header, "train examples/s"),
        rows=tuple(rows),
        note=_note(results["models"]),
        gain=_gain_line(results),
    )


def render(results: dict[str, Any]) -> str:
    """The comparison as aligned ASCII text, the paired gain last; no final newline."""
    table = comparison(results)
    text = aligned([table.header, *table.rows])
    return "\n".join([*text, *filter(None, (table.note,)), table.gain])


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of text of a header and the rows below it; the first cells are names."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = [_aligned(row, widths) for row in rows]
    text.insert(1, "  ".join("-" * width for width in widths))
    return text


def summary(results: dict[str, Any]) -> str:
    """A paragraph: what the student costs, what distilling gained, whether to trust it.

    A gain counts as more than noise when the 95% interval of Student's t around the
    mean of the paired differences leaves zero out; one seed has no such interval.
    """
    models = results["models"]
    if not ({"student", "baseline"} <= models.keys() and results.get("gain")):
        return "This run has no student and baseline to compare."
    examples = int(models["student"]["mean"]["examples"])
    return (
        f"The student ({_size(models)}) makes {_errors(models['student'])} on "
        f"{examples} test examples; the same network trained without the teacher makes "
        f"{_errors(models['baseline'])}. {_finetuned(models)}{_verdict(results)}"
    )


def gain_interval(gain: dict[str, Any]) -> tuple[float, float] | None:
    """95% interval of a mean paired gain, in its own unit; None without an error."""
    if gain.get("standard_error") is None or len(gain["per_seed"]) < 2:
        return None
    degrees = len(gain["per_seed"]) - 1
    half = T_95[min(degrees, len(T_95)) - 1] * gain["standard_error"]
    return gain["mean"] - half, gain["mean"] + half


def value(
    mean: float | None, std: float | None = None, *, factor: float = 1, digits: int
) -> str:
    """`mean +- std`, or `mean`, or `-`; a whole number has no digits unless spread."""
    if mean is None or not math.isfinite(mean):
        return "-"
    if std is not None:
        return f"{factor * mean:.{digits}f} +- {factor * std:.{digits}f}"
    if factor == 1 and digits < 2 and float(mean).is_integer():
        return f"{mean:.0f}"
    return f"{factor * mean:.{digits}f}"


def _note(models: dict[str, Any]) -> str:
    counts = {"seeds": 0, "members": 0}
    for name, model in models.items():
        what = "members" if name == "member" else "seeds"
        counts[what] = max(counts[what], len(model["seeds"]))
    over = " or ".join(f"{n} {what}" for what, n in counts.items() if n > 1)
    return f"mean +- standard deviation over {over}" if over else ""


def _row(name: str, model: dict[str, Any]) -> tuple[str, ...]:
    mean, std = model["mean"], model["std"]
    metrics = [
        value(mean.get(metric), std.get(metric), factor=factor, digits=digits)
        for metric, _, factor, digits in METRICS
    ]
    speed = model.get("train_examples_per_sec")
    return (
        name,
        f"{model['parameters']:,}",
        *metrics,
        "-" if speed is None else f"{speed:,.0f}",
    )


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers = cells
    columns = [
        number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)
    ]
    return "  ".join([name.ljust(widths[0]), *columns])


def _gain_line(results: dict[str, Any]) -> str:
    if not results.get("gain"):
        return "gain over baseline: not measured"
    gain = results["gain"]["errors"]
    any_model = next(iter(results["models"].values()))
    text = _counted(gain["mean"], gain.get("standard_error"))
    num_seeds = len(gain["per_seed"])
    if gain.get("standard_error") is None:
        meaning = "one seed: no standard error"
    else:
        meaning = f"mean +- standard error over {num_seeds} seeds"
    examples = int(any_model["mean"]["examples"])
    return f"gain over baseline: {text} of {examples} ({meaning})"


def _size(models: dict[str, Any]) -> str:
    student = models["student"]["parameters"]
    size = f"{student:,} parameters"
    if "teacher" not in models or not student:
        return size
    teacher = models["teacher"]["parameters"]
    ratio = teacher / student
    if ratio > 1:
        return f"{size}, {ratio:.3g} times fewer than the teacher's {teacher:,}"
    return f"{size}, no fewer than the teacher's {teacher:,}"


def _finetuned(models: dict[str, Any]) -> str:
    """A sentence and a space, where the student went on without its teacher."""
    if "finetune" not in models:
        return ""
    return (
        "The distilled student, trained further on the labels alone, makes "
        f"{_errors(models['finetune'])}. "
    )


def _errors(model: dict[str, Any]) -> str:
    return _counted(model["mean"]["errors"], model["std"].get("errors"))


def _counted(mean: float, spread: float | None = None) -> str:
    text = value(mean, spread, digits=1)
    return f"{text} error" if text == "1" else f"{text} errors"


def _verdict(results: dict[str, Any]) -> str:
    gain = results["gain"]["errors"]
    mean, error = abs(gain["mean"]), gain.get("standard_error")
    effect = "adds" if gain["mean"] < 0 else "removes"
    baseline = results["models"]["baseline"]["mean"]["errors"]
    share = f", {mean / baseline:.0%} of the baseline's" if baseline else ""
    interval = gain_interval(gain)
    if interval is None:
        return (
            f"Distillation {effect} {_counted(mean)}{share}. One seed "
            "cannot tell a difference from noise: run more of them before "
            "believing it."
        )
    low, high = interval
    trust = "cannot be told from" if low <= 0 <= high else "is more than"
    return (
        f"Distillation {effect} {_counted(mean, error)} (mean +- standard error of "
        f"{len(gain['per_seed'])} paired seeds){share}. This {trust} noise: the 95% "
        f"interval of the gain is {low:.1f} to {high:.1f} errors."
    )
