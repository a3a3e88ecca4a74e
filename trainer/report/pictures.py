"""Figures of a run as PNGs, for documents and TensorBoard; the page has its own."""

from collections.abc import Iterator

import numpy as np

from trainer.report import figures, inputs
from trainer.report.dark_knowledge import dark_knowledge
from trainer.report.dark_panels import own_temperature
from trainer.report.markup import Picture
from trainer.report.metric_texts import selecting

MAX_EXAMPLES = 8  # rows of the dark knowledge figure
FROM_STUDENT = " Finetune counts its steps from the student's selected checkpoint."


def pictures(found: inputs.Inputs) -> Iterator[Picture]:
    """Draws the figures that the inputs allow, one at a time.

    Without example images there is no dark knowledge figure.
    """
    predictions, models = found.predictions, found.results["models"]
    metric = selecting(found.results)
    learned = figures.learning_curves(found.histories, metric=metric)
    yield Picture("learning_curves", learned)
    if len(predictions.example_rows):
        yield _dark_knowledge(found)
    matrices = {
        name: np.array(models[name]["test"]["confusion_matrix"])
        for name in inputs.model_names(found.results)
    }
    drawn = figures.confusion_matrices(matrices, predictions.class_names)
    yield Picture("confusion_matrices", drawn)
    drawn = figures.reliability(predictions.logits, predictions.labels)
    yield Picture("reliability", drawn)


def _dark_knowledge(found: inputs.Inputs) -> Picture:
    predictions = found.predictions
    logits = next(iter(predictions.logits.values()))
    rows = predictions.example_rows[:MAX_EXAMPLES]
    drawn = dark_knowledge(
        predictions.example_images[:MAX_EXAMPLES],
        logits[rows],
        predictions.labels[rows],
        predictions.class_names,
        temperature=own_temperature(found),
    )
    return Picture("dark_knowledge", drawn)
