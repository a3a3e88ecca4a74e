"""Exact metrics over a split, every example counted once.

The devices compute logits; the metrics are NumPy in float64 on all of them at once, so
they do not depend on batches or replicas. Shapes: M = examples, C = classes.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import calibration, data


def predictor(
    model: keras.Model,
    examples: data.Examples,
    *,
    batch_size: int,
    strategy: tf.distribute.Strategy,
    xla: bool,
) -> Callable[[], np.ndarray]:
    """A function that gives the model's present logits of `examples`: float32 [M, C].

    It is compiled once. `batch_size` counts one step's examples, of all replicas.
    """
    batches, num_steps = data.evaluation_batches(
        examples,
        per_replica_batch_size=-(-batch_size // strategy.num_replicas_in_sync),
        strategy=strategy,
    )

    @tf.function(jit_compile=xla, autograph=False)
    def forward(inputs: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(inputs, training=False), tf.float32)

    def on_replica(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return forward(batch["input"]), batch["weight"]

    @tf.function(autograph=False)
    def step(batch: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        return [
            tf.concat(strategy.experimental_local_results(result), axis=0)
            for result in strategy.run(on_replica, args=(batch,))
        ]

    def predict() -> np.ndarray:
        iterator = iter(batches)
        with data.reading():
            steps = [step(next(iterator)) for _ in range(num_steps)]
        logits, weights = map(np.concatenate, zip(*steps, strict=True))
        return np.asarray(logits[weights == 1])

    return predict


def classification_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Metrics against true labels: [M, C], [M] -> name to number.

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
    one_hot = np.eye(num_classes)[labels]
    return metrics | {
        "nll": float(-log_probs[rows, labels].mean()),
        "brier": float(np.square(probs - one_hot).sum(axis=1).mean()),
        "ece": calibration.reliability_bins(logits, labels).ece,
    }


def teacher_metrics(
    student_logits: np.ndarray, teacher_logits: np.ndarray
) -> dict[str, float]:
    """The student against its teacher: [M, C], [M, C] -> name to number.

    `agreement` is the share of examples with the same predicted class, `kl` the mean
    KL(teacher || student) at temperature 1, in nats.
    """
    student, teacher = _log_softmax(student_logits), _log_softmax(teacher_logits)
    same = student_logits.argmax(axis=1) == teacher_logits.argmax(axis=1)
    divergence = (np.exp(teacher) * (teacher - student)).sum(axis=1)
    return {"agreement": float(same.mean()), "kl": float(divergence.mean())}


def class_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Results class by class: [M, C], [M] -> lists of length C.

    `confusion_matrix[i][j]` counts examples of class i predicted as j;
    `per_class_accuracy` is None for a class without examples.
    """
    num_classes = logits.shape[1]
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, logits.argmax(axis=1)), 1)
    totals = matrix.sum(axis=1)
    return {
        "per_class_accuracy": [
            float(matrix[i, i] / totals[i]) if totals[i] else None
            for i in range(num_classes)
        ],
        "confusion_matrix": matrix.tolist(),
    }


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    normalised: np.ndarray = shifted - np.log(
        np.exp(shifted).sum(axis=1, keepdims=True)
    )
    return normalised
