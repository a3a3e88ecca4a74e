"""The conclusion of a run, in a paragraph of plain ASCII."""

from typing import Any

from trainer.report.amounts import format_count


def summary(results: dict[str, Any]) -> str:
    """A paragraph: what the student costs, and what distilling gained."""
    models = results["models"]
    if not ({"student", "baseline"} <= models.keys() and results.get("gain")):
        return "This run has no student and baseline to compare."
    examples = int(models["student"]["mean"]["examples"])
    return (
        f"The student ({_size(models)}) makes {_errors(models['student'])} on "
        f"{examples} test examples; the same network trained without the teacher makes "
        f"{_errors(models['baseline'])}. {_finetuning_sentence(models)}"
        f"{_class_bias_sentence(models)}{_effect(results)}"
    )


def _size(models: dict[str, Any]) -> str:
    student = models["student"]["parameters"]
    size = f"{student:,} parameters"
    if "teacher" not in models or not student:
        return size
    teacher = models["teacher"]["parameters"]
    if teacher is None:  # it is elsewhere
        return size
    ratio = teacher / student
    if ratio > 1:
        return f"{size}, {ratio:.3g} times fewer than the teacher's {teacher:,}"
    return f"{size}, no fewer than the teacher's {teacher:,}"


def _finetuning_sentence(models: dict[str, Any]) -> str:
    """A sentence and a space, where the student went on without its teacher."""
    if "finetune" not in models:
        return ""
    return (
        "The distilled student, trained further on the labels alone, makes "
        f"{_errors(models['finetune'])}. "
    )


def _class_bias_sentence(models: dict[str, Any]) -> str:
    """A sentence and a space, where the classes not shown were given a bias."""
    if "student_class_bias" not in models:
        return ""
    student, baseline = (
        _errors(models[f"{name}_class_bias"]) for name in ("student", "baseline")
    )
    return (
        "With the class bias found on the validation split student and baseline make "
        f"{student} and {baseline}. "
    )


def _errors(model: dict[str, Any]) -> str:
    return format_count(model["mean"]["errors"], model["std"].get("errors"))


def _effect(results: dict[str, Any]) -> str:
    gain = results["gain"]["errors"]
    effect = "adds" if gain["mean"] < 0 else "removes"
    baseline = results["models"]["baseline"]["mean"]["errors"]
    share = (
        f", {abs(gain['mean']) / baseline:.0%} of the baseline's" if baseline else ""
    )
    return f"Distillation {effect} {format_count(abs(gain['mean']))}{share}."
