"""Exact metrics over a split, every example counted once.

They are NumPy in float64 on the logits of all examples at once, so they do not depend
on batches or replicas. Shapes: M = examples, C = classes.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.config import ClassMap
from trainer.evaluation import calibration
from trainer.evaluation.by_class import ClassCounts, auc


def classification_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Metrics against true labels: [M, C], [M] -> name to number.

    `balanced_accuracy` is the mean over the classes of the share of their examples that
    is right, `macro_f1` that of their F1 scores, `auc`, of two classes that both have
    examples, the area under the ROC curve; see trainer.evaluation.by_class.
    `nll` is the mean cross-entropy in nats, `brier` the mean squared distance of the
    probabilities from the one-hot label summed over classes (Brier, 1950), `ece` the
    expected calibration error over 15 equal bins of confidence (Guo et al. 2017). All
    are taken at temperature 1.
    """
    log_probs = _log_softmax(logits)
    probs = np.exp(log_probs)
    predicted = logits.argmax(axis=1)
    hits = predicted == labels
    rows = np.arange(len(labels))
    metrics: dict[str, Any] = {
        "examples": len(labels),
        "errors": int((~hits).sum()),
        "accuracy": float(hits.mean()),
    }
    num_classes = logits.shape[1]
    if num_classes > 5:
        above = logits > logits[rows, labels][:, np.newaxis]
        metrics["top_5_accuracy"] = float((above.sum(axis=1) < 5).mean())
    counts = ClassCounts.of(logits, labels)
    metrics["balanced_accuracy"] = counts.balanced_accuracy
    metrics["macro_f1"] = counts.macro_f1
    if num_classes == 2 and (area := auc(logits, labels)) is not None:
        metrics["auc"] = area
    one_hot = np.eye(num_classes)[labels]
    return metrics | {
        "nll": float(-log_probs[rows, labels].mean()),
        "brier": float(np.square(probs - one_hot).sum(axis=1).mean()),
        "ece": calibration.reliability_bins(logits, labels).ece,
    }


def cross_entropies(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The cross-entropy of each example in nats: [M, C], [M] -> [M]."""
    own: np.ndarray = _log_softmax(logits)[np.arange(len(labels)), labels]
    return -own


def teacher_metrics(
    student_logits: np.ndarray, teacher_logits: np.ndarray
) -> dict[str, float]:
    """The student against its teacher: [M, C], [M, C] -> name to number.

    `agreement` is the share of examples with the same predicted class. At temperature
    1 and in nats, `kl` is the mean KL(teacher || student), and `soft_nll` the mean
    cross-entropy with the teacher's probabilities as targets.
    """
    student, teacher = _log_softmax(student_logits), _log_softmax(teacher_logits)
    same = student_logits.argmax(axis=1) == teacher_logits.argmax(axis=1)
    divergence = (np.exp(teacher) * (teacher - student)).sum(axis=1)
    return {
        "agreement": float(same.mean()),
        "kl": float(divergence.mean()),
        "soft_nll": float(-(np.exp(teacher) * student).sum(axis=1).mean()),
    }


def mean_kl(
    student_logits: np.ndarray, teacher_logits: np.ndarray, temperature: float
) -> float:
    """The mean KL(teacher || student) at T, in nats: [M, C], [M, C] -> []."""
    student, teacher = (
        _log_softmax(logits / temperature)
        for logits in (student_logits, teacher_logits)
    )
    return float((np.exp(teacher) * (teacher - student)).sum(axis=1).mean())


def excluded_metrics(
    logits: np.ndarray, labels: np.ndarray, *, excluded: Sequence[int]
) -> dict[str, int]:
    """On the examples of the `excluded` labels alone: [M, C], [M] -> name to number."""
    is_excluded = np.isin(labels, excluded)
    wrong = logits.argmax(axis=1) != labels
    return {
        "excluded_examples": int(is_excluded.sum()),
        "excluded_errors": int((wrong & is_excluded).sum()),
    }


def ensemble_logits(
    logits: Sequence[np.ndarray], *, weights: Sequence[float], temperature: float = 1.0
) -> np.ndarray:
    """Logits of the average of the members' probabilities at T: float32 [M, C].

    `logits` [M, C] are each member's, `weights` how much it counts beside the others.
    """
    log_shares = np.log(np.array(weights) / sum(weights))
    weighted = [
        log_share + _log_softmax(values / temperature)
        for log_share, values in zip(log_shares, logits, strict=True)
    ]
    average: np.ndarray = functools.reduce(np.logaddexp, weighted)
    return (temperature * average).astype(np.float32)


def map_logits(
    logits: np.ndarray, class_map: ClassMap | None, temperature: float = 1.0
) -> np.ndarray:
    """Logits of which softmax at T sums those of joined classes: [M, K] -> [M, C].

    Without a `class_map` they are as they are.
    """
    if class_map is None:
        return logits
    columns = []
    for group in class_map.groups:
        scaled = logits[:, list(group)].astype(np.float64) / temperature
        columns.append(temperature * functools.reduce(np.logaddexp, scaled.T))
    joined: np.ndarray = np.stack(columns, axis=1).astype(np.float32)
    return joined


def class_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Results class by class: [M, C], [M] -> lists of length C.

    `confusion_matrix[i][j]` counts examples of class i predicted as j;
    `per_class_accuracy`, which is the recall, is None for a class without examples,
    `per_class_precision` for one that is never predicted.
    """
    num_classes = logits.shape[1]
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, logits.argmax(axis=1)), 1)
    counts = ClassCounts.of(logits, labels)
    recall = _listed(counts.recall)
    return {
        "per_class_accuracy": recall,
        "per_class_precision": _listed(counts.precision),
        "per_class_recall": recall,
        "confusion_matrix": matrix.tolist(),
    }


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Probabilities of the classes at temperature 1: [M, C] -> float64 [M, C]."""
    probs: np.ndarray = np.exp(_log_softmax(logits))
    return probs


def _listed(values: np.ndarray) -> list[float | None]:
    """Numbers as JSON has them, with None for NaN."""
    return [None if np.isnan(value) else float(value) for value in values]


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    normalised: np.ndarray = shifted - np.log(
        np.exp(shifted).sum(axis=1, keepdims=True)
    )
    return normalised
