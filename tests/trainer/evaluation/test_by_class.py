"""Metrics in which classes count alike: against scikit-learn, pairs and literals."""

import itertools

import numpy as np
import pytest

from trainer.evaluation import metrics
from trainer.evaluation.by_class import auc


def drawn(seed: int, num_classes: int, shares=None) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of 200 examples; logits are of few values, so that some tie."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(num_classes, 200, p=shares)
    logits = rng.integers(-2, 3, (200, num_classes)).astype(np.float32)
    logits[np.arange(200), labels] += 1
    return logits, labels


@pytest.mark.parametrize(
    ("num_classes", "shares"),
    [(2, [0.9, 0.1]), (5, [0.6, 0.3, 0.05, 0.05, 0]), (7, None)],
)
def test_they_are_those_of_scikit_learn(num_classes, shares):
    oracle = pytest.importorskip("sklearn.metrics")
    logits, labels = drawn(0, num_classes, shares)
    predicted = logits.argmax(axis=1)
    measured = metrics.classification_metrics(logits, labels)
    recalls = oracle.recall_score(
        labels, predicted, average=None, labels=[*set(labels)]
    )
    assert measured["balanced_accuracy"] == pytest.approx(recalls.mean())
    f1 = oracle.f1_score(labels, predicted, average="macro")
    assert measured["macro_f1"] == pytest.approx(f1)
    if num_classes == 2:
        area = oracle.roc_auc_score(labels, logits[:, 1] - logits[:, 0])
        assert measured["auc"] == pytest.approx(area)
    by_class = metrics.class_metrics(logits, labels)
    for name in ("precision", "recall"):
        score = getattr(oracle, f"{name}_score")
        expected = score(
            *(labels, predicted),
            average=None,
            labels=range(num_classes),
            zero_division=np.nan,
        )
        found = np.array(by_class[f"per_class_{name}"], np.float64)
        np.testing.assert_allclose(found, expected)


def test_the_area_is_the_share_of_pairs_in_order_and_ties_count_half():
    logits, labels = drawn(1, 2)
    scores = logits[:, 1] - logits[:, 0]
    pairs = itertools.product(scores[labels == 1], scores[labels == 0])
    wins = [(second > first) + 0.5 * (second == first) for second, first in pairs]
    assert len(set(wins)) == 3
    assert auc(logits, labels) == pytest.approx(np.mean(wins), abs=1e-12)


def test_certain_predictions_keep_their_order():
    # Their probabilities are 1 and 1 even in float64.
    logits = np.array([[0, 50], [0, 60], [0, 70]], np.float32)
    assert auc(logits, np.array([0, 1, 1])) == 1.0
    assert auc(logits, np.array([1, 0, 0])) == 0.0


def test_there_is_no_area_of_one_class_or_of_three():
    logits, labels = drawn(2, 2)
    assert "auc" not in metrics.classification_metrics(logits, np.zeros_like(labels))
    assert "auc" not in metrics.classification_metrics(*drawn(2, 3))


def test_a_model_of_one_answer_has_half_of_two_classes():
    logits = np.tile([[1.0, 0.0]], (10, 1))
    measured = metrics.classification_metrics(logits, np.array([0] * 9 + [1]))
    assert measured["accuracy"] == 0.9
    assert measured["balanced_accuracy"] == 0.5
    assert measured["macro_f1"] == pytest.approx((18 / 19 + 0) / 2)
    assert measured["auc"] == 0.5
    by_class = metrics.class_metrics(logits, np.array([0] * 9 + [1]))
    assert by_class["per_class_recall"] == [1.0, 0.0]
    assert by_class["per_class_precision"] == [0.9, None]
