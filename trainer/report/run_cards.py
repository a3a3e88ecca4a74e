"""The numbers of a run that are seen first."""

from collections.abc import Iterator
from typing import Any

from trainer.config.selection import ACCURACY
from trainer.report.amounts import gain_interval, value
from trainer.report.colours import slots
from trainer.report.inputs import model_names
from trainer.report.metric_texts import selecting, text_of
from trainer.report.section import Card
from trainer.report.table import TIMES

Results = dict[str, Any]


def cards(results: Results) -> tuple[Card, ...]:
    """Metrics, errors saved, gap closed, compression, speed-up: those there are."""
    models = results["models"]
    if "student" not in models:
        return ()
    return tuple(
        card
        for find in (_metrics, _saved, _gap, _compression, _speed)
        for card in find(results)
    )


def gap_closed(results: Results) -> float | None:
    """The share of the errors between baseline and teacher that the student saves.

    None where the teacher makes no fewer errors than the baseline.
    """
    models = results["models"]
    if not {"teacher", "student", "baseline"} <= models.keys():
        return None
    teacher, student, baseline = (
        models[role]["mean"]["errors"] for role in ("teacher", "student", "baseline")
    )
    if teacher >= baseline:
        return None
    return float((baseline - student) / (baseline - teacher))


def _metrics(results: Results) -> Iterator[Card]:
    """The metric that selects the students, balanced accuracy, accuracy."""
    models, chosen = results["models"], [selecting(results)]
    if results.get("class_weights"):
        chosen.append("balanced_accuracy")
    for metric in dict.fromkeys((*chosen, ACCURACY)):
        text, student = text_of(metric), models["student"]
        if metric not in student["mean"]:
            continue
        others = [
            f"{name} {text.number(models[name]['mean'].get(metric))}"
            for name in ("baseline", "teacher")
            if name in models
        ]
        spread = student["std"].get(metric)
        about = f"+- {text.factor * spread:.{text.digits}f}" if spread else ""
        yield Card(
            title=f"{text.title[:1].upper()}{text.title[1:]} of the student",
            number=text.number(student["mean"][metric]),
            unit=" ".join(filter(None, (about, text.unit))),
            note=", ".join(others),
            slot=slots(model_names(results))["student"],
        )


def _saved(results: Results) -> Iterator[Card]:
    gain = (results.get("gain") or {}).get("errors")
    if not gain:
        return
    interval = gain_interval(gain)
    examples = int(results["models"]["student"]["mean"]["examples"])
    about = "one seed has no interval"
    if interval:
        about = f"95% interval {interval[0]:.1f} to {interval[1]:.1f}"
    yield Card(
        title="Errors saved",
        number=value(gain["mean"], digits=1),
        unit=f"of {examples:,}",
        note=f"against the baseline; {about}",
    )


def _gap(results: Results) -> Iterator[Card]:
    share = gap_closed(results)
    if share is None:
        return
    models = results["models"]
    between = models["baseline"]["mean"]["errors"] - models["teacher"]["mean"]["errors"]
    yield Card(
        title="Gap closed",
        number=f"{100 * share:.0f}",
        unit="%",
        note=f"of the {value(between, digits=1)} errors between baseline and teacher",
        share=share,
    )


def _compression(results: Results) -> Iterator[Card]:
    models = results["models"]
    student = models["student"]["parameters"]
    teacher = models.get("teacher", {}).get("parameters")
    if not (student and teacher):
        return
    yield Card(
        title="Compression",
        number=f"{teacher / student:.3g}",
        unit="times",
        note=f"{student:,} parameters instead of {teacher:,}",
    )


def _speed(results: Results) -> Iterator[Card]:
    teacher, student = (
        results["models"].get(role, {}).get(TIMES, {})
        for role in ("teacher", "student")
    )
    sizes = sorted(teacher.keys() & student.keys(), key=int)
    if not sizes:
        return
    ratios = {size: teacher[size] / student[size] for size in sizes}
    first, *more = sizes
    others = "".join(f"; {ratios[size]:.3g} times at batch {size}" for size in more)
    yield Card(
        title="Speed-up, measured",
        number=f"{ratios[first]:.3g}",
        unit="times",
        note=f"{student[first]:.3g} ms instead of {teacher[first]:.3g} ms an example "
        f"at batch {first}{others}",
    )
