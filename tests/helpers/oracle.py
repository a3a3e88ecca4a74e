"""Formulas in NumPy and float64, apart from the code that they test.

Shapes: M = examples, C = classes.
"""

import numpy as np


def log_sum_exp(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The logit [M, 1] of classes [M, C] taken together at a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    largest = scaled.max(axis=-1, keepdims=True)
    sums = np.exp(scaled - largest).sum(axis=-1, keepdims=True)
    return temperature * (largest + np.log(sums))


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Logarithms of the probabilities of logits [M, C] at a temperature: [M, C]."""
    logits = np.asarray(logits, np.float64)
    return (logits - log_sum_exp(logits, temperature)) / temperature


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of logits [M, C] at a temperature: [M, C]."""
    return np.exp(log_softmax(logits, temperature))


def kl_of_probs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """KL(first || second) of probabilities [M, C], none of them 0, in nats: [M]."""
    return (first * (np.log(first) - np.log(second))).sum(axis=-1)


def kl_divergence(
    first: np.ndarray, second: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
    """KL(first || second) of logits [M, C] at a temperature, in nats: [M]."""
    return kl_of_probs(softmax(first, temperature), softmax(second, temperature))


def bucket_probs(probs: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Of K - 1 classes a row, and of all others together: [M, K]."""
    alone = np.take_along_axis(probs, classes, axis=1)
    # Summed class by class: 1 - alone.sum() would lose a rest of 1e-9.
    is_alone = np.zeros(probs.shape, bool)
    np.put_along_axis(is_alone, classes, True, axis=1)
    rest = np.where(is_alone, 0, probs).sum(axis=1, keepdims=True)
    return np.concatenate([alone, rest], axis=1)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Minus the log-probability of each label [M] by logits [M, C], in nats: [M]."""
    return -log_softmax(logits)[np.arange(len(labels)), labels]
