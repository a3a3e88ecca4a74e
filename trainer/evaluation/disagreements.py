"""Examples on which teacher, student and baseline differ, the most telling ones first.

Shapes: M = examples, C = classes.
"""

from collections.abc import Mapping

import numpy as np

from trainer.evaluation.calibration import softmax

MOST = 16  # examples of a kind that are shown, and whose images are kept

# By who is right.
RESCUED = "rescued"  # the student thanks to its teacher, and not the baseline
LOST = "lost"  # the baseline, and not the student
TEACHER_ONLY = "teacher_only"
NOBODY = "nobody"


def disagreements(
    logits: Mapping[str, np.ndarray], labels: np.ndarray
) -> dict[str, np.ndarray]:
    """The rows of each kind of examples: int, of all there are.

    `logits` [M, C] are by model, `labels` [M]. Without student and baseline there are
    no kinds, and without a teacher those that need none. Rows come by how far the
    models' probabilities of the true class are apart; those that nobody knows by the
    student's confidence.
    """
    if not {"student", "baseline"} <= logits.keys():
        return {}
    rows = np.arange(len(labels))
    probs = {name: softmax(logits[name]) for name in compared(logits)}
    true = {name: values[rows, labels] for name, values in probs.items()}
    right = {
        name: np.argmax(logits[name], axis=1) == labels for name in compared(logits)
    }
    student, baseline = right["student"], right["baseline"]
    teacher = right.get("teacher", np.ones(len(labels), bool))
    kinds = {
        RESCUED: (teacher & student & ~baseline, true["student"] - true["baseline"]),
        LOST: (~student & baseline, true["baseline"] - true["student"]),
    }
    if "teacher" in right:
        apart = true["teacher"] - true["student"]
        kinds[TEACHER_ONLY] = (teacher & ~student & ~baseline, apart)
        confidence = probs["student"].max(axis=1)
        kinds[NOBODY] = (~teacher & ~student & ~baseline, confidence)
    return {
        kind: rows[which][np.argsort(-telling[which], kind="stable")]
        for kind, (which, telling) in kinds.items()
    }


def compared(logits: Mapping[str, np.ndarray]) -> list[str]:
    """The models that are looked at, of those there are."""
    return [name for name in ("teacher", "student", "baseline") if name in logits]
