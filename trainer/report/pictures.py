"""Figures of a run, and how each is to be read."""

from collections.abc import Iterator

import numpy as np

from trainer.report import figures, inputs, loss_settings
from trainer.report.dark_knowledge import dark_knowledge
from trainer.report.markup import Picture

MAX_EXAMPLES = 8  # rows of the dark knowledge figure
_OF_MEMBERS = (
    " Shown is the members' average at T = 1, tempered; the student learns from their "
    "average at the run's T."
)
FROM_STUDENT = " Finetune counts its steps from the student's selected checkpoint."


def pictures(found: inputs.Inputs) -> Iterator[Picture]:
    """Draws the figures that the inputs allow, one at a time, in the page's order.

    Without example images there is no dark knowledge figure.
    """
    predictions = found.predictions
    silent = [name for name, runs in found.histories.items() if not runs]
    yield Picture(
        "learning_curves",
        "Learning curves",
        "Thin lines are seeds, the thick line their mean. Compare the models by their "
        "validation accuracy, whose axis starts after the climb from chance. The train "
        "losses are not one quantity: the student's mixes soft and hard targets, so "
        "read their slope and not their height."
        + (FROM_STUDENT if "finetune" in found.histories else "")
        + (f" Without a history: {', '.join(silent)}." if silent else ""),
        figures.learning_curves(found.histories),
    )
    if len(predictions.example_rows):
        yield _dark_knowledge(found)
    yield _confusion_matrices(found)
    yield Picture(
        "reliability",
        "Reliability",
        "A dot is the test examples of one of 15 equal bins of the confidence, its "
        "line the 95% interval of their accuracy. Dots on the dashed line are honest; "
        "dots below it are overconfident. The bars below say how many examples a dot "
        "stands for. ECE is the mean distance from the dashed line, weighted by them. "
        "First seed, selected checkpoint.",
        figures.reliability(predictions.logits, predictions.labels),
    )


def _confusion_matrices(found: inputs.Inputs) -> Picture:
    models = found.results["models"]
    matrices = {
        name: np.array(models[name]["test"]["confusion_matrix"])
        for name in inputs.model_names(found.results)
    }
    return Picture(
        "confusion_matrices",
        "Confusion matrices",
        "A row is a true class and shows where its test examples went: the diagonal is "
        "right, anything else an error. Colour is the share of the row, on a scale "
        "stretched at its low end so that rare errors show; numbers are examples. "
        "First seed, selected checkpoint.",
        figures.confusion_matrices(matrices, found.predictions.class_names),
    )


def _dark_knowledge(found: inputs.Inputs) -> Picture:
    predictions = found.predictions
    teacher, logits = next(iter(predictions.logits.items()))
    rows = predictions.example_rows[:MAX_EXAMPLES]
    return Picture(
        "dark_knowledge",
        "Dark knowledge",
        f"What the {teacher} predicts for test images, at rising temperature T. A "
        "row's classes stay in the same order; the true one is the dark bar. At T = 1 "
        "the first choices hide the rest; a higher T lifts the small probabilities "
        "that tell which classes resemble each other, and they are what the student "
        "learns beside the label; far too high, all classes look alike."
        + (_OF_MEMBERS if "member" in predictions.logits else ""),
        dark_knowledge(
            predictions.example_images[:MAX_EXAMPLES],
            logits[rows],
            predictions.labels[rows],
            predictions.class_names,
            temperature=next(
                (term["temperature"] for term in loss_settings.terms(found.config)),
                inputs.setting(found.config, "distill", "temperature"),
            ),
        ),
    )
