"""Losses on logits in NumPy and float64, as their papers write them.

Shapes: M = examples, C = classes. Each takes logits [M, C] of student and teacher and
labels [M], and gives a value for each example, [M].
"""

import numpy as np

from tests.helpers.oracle import cross_entropy, kl_divergence, log_softmax, softmax


def soft(student, teacher, labels, *, temperature):
    del labels
    return temperature**2 * kl_divergence(teacher, student, temperature)


def reverse_kl(student, teacher, labels, *, temperature):
    del labels
    return temperature**2 * kl_divergence(student, teacher, temperature)


def jensen_shannon(student, teacher, labels, *, temperature, beta):
    del labels
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    mixture = beta * p + (1 - beta) * q
    to_teacher = (p * np.log(p / mixture)).sum(axis=1)
    to_student = (q * np.log(q / mixture)).sum(axis=1)
    return temperature**2 * (beta * to_teacher + (1 - beta) * to_student)


def dkd(student, teacher, labels, *, temperature, target_weight, other_weight):
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    rows = np.arange(len(labels))
    two_p, two_q = (np.stack([x[rows, labels], 1 - x[rows, labels]], 1) for x in (p, q))
    target = (two_p * np.log(two_p / two_q)).sum(axis=1)
    others = kl_divergence(
        without(teacher, labels), without(student, labels), temperature
    )
    return temperature**2 * (target_weight * target + other_weight * others)


def dist(
    student, teacher, labels, *, temperature, example_weight, class_weight, group_size
):
    del labels
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    by_example = np.array([1 - pearson(a, b) for a, b in zip(p, q, strict=True)])
    by_class = np.zeros(len(p))
    for first in range(0, len(p), group_size):
        group = slice(first, first + group_size)
        columns = zip(p[group].T, q[group].T, strict=True)
        by_class[group] = np.mean([1 - pearson(a, b) for a, b in columns])
    return temperature**2 * (example_weight * by_example + class_weight * by_class)


def nkd(student, teacher, labels, *, temperature, gamma):
    rows = np.arange(len(labels))
    target = softmax(teacher)[rows, labels] * cross_entropy(student, labels)
    q_teacher = softmax(without(teacher, labels), temperature)
    log_q = log_softmax(without(student, labels), temperature)
    return target - gamma * temperature**2 * (q_teacher * log_q).sum(axis=1)


def wsl_weight(student, teacher, labels):
    ratio = cross_entropy(student, labels) / (cross_entropy(teacher, labels) + 1e-7)
    return 1 - np.exp(-ratio)


def wsl(student, teacher, labels, *, temperature, weight=None):
    """With the student's own weight, or with one that does not move with it."""
    if weight is None:
        weight = wsl_weight(student, teacher, labels)
    soft_targets = softmax(teacher, temperature)
    entropy = -(soft_targets * log_softmax(student, temperature)).sum(axis=1)
    return temperature**2 * weight * entropy


def hard_targets(student, teacher, labels):
    del labels
    return cross_entropy(student, teacher.argmax(axis=1))


def logit_mse(student, teacher, labels, *, centered):
    del labels
    if centered:
        student = student - student.mean(axis=1, keepdims=True)
        teacher = teacher - teacher.mean(axis=1, keepdims=True)
    return np.square(student - teacher).mean(axis=1)


def without(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logits of all classes but each example's label: [M, C] -> [M, C - 1]."""
    others = np.arange(logits.shape[1]) != labels[:, np.newaxis]
    return logits[others].reshape(len(logits), -1)


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


LABELED = {"dkd_loss", "nkd_loss", "wsl_loss"}
ORACLES = {
    "soft_loss": soft,
    "reverse_kl_loss": reverse_kl,
    "jensen_shannon_loss": jensen_shannon,
    "dkd_loss": dkd,
    "dist_loss": dist,
    "nkd_loss": nkd,
    "wsl_loss": wsl,
    "hard_target_loss": hard_targets,
    "logit_mse_loss": logit_mse,
}
