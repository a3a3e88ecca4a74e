"""Formulas in NumPy and float64, apart from the code that they test.

Shapes: M = examples, C = classes.
"""

import numpy as np


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Logarithms of the probabilities of logits [M, C] at a temperature: [M, C]."""
    scaled = np.asarray(logits, np.float64) / temperature
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of logits [M, C] at a temperature: [M, C]."""
    return np.exp(log_softmax(logits, temperature))


def kl_divergence(
    first: np.ndarray, second: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
    """KL(first || second) of logits [M, C] at a temperature, in nats: [M]."""
    log_p, log_q = log_softmax(first, temperature), log_softmax(second, temperature)
    return (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Minus the log-probability of each label [M] by logits [M, C], in nats: [M]."""
    return -log_softmax(logits)[np.arange(len(labels)), labels]
