"""Metrics against hand-worked numbers, and logits against one plain call."""

import contextlib

import keras
import numpy as np
import pytest

from tests.helpers.devices import strategy_of
from trainer import data
from trainer.cluster.termination import StoppedError
from trainer.devices import distribution
from trainer.evaluation import metrics
from trainer.evaluation.predictor import predictor
from trainer.exit_codes import from_error

# Two examples of class 0, one of class 1, one of class 2; probabilities are given.
PROBS = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6]])
LABELS = np.array([0, 0, 1, 2])
LOGITS = np.log(PROBS) + 5.0  # any constant gives the same probabilities


def test_errors_and_accuracy_count_the_largest_logit():
    measured = metrics.classification_metrics(LOGITS, LABELS)
    assert (measured["examples"], measured["errors"], measured["accuracy"]) == (
        4,
        1,
        0.75,
    )


def test_nll_is_the_mean_negative_log_probability():
    expected = -np.mean(np.log([0.7, 0.4, 0.8, 0.6]))
    assert metrics.classification_metrics(LOGITS, LABELS)["nll"] == pytest.approx(
        expected
    )


def test_brier_sums_squares_over_classes():
    first, second = 0.3**2 + 0.2**2 + 0.1**2, 0.6**2 + 0.5**2 + 0.1**2
    third, fourth = 0.1**2 + 0.2**2 + 0.1**2, 0.3**2 + 0.1**2 + 0.4**2
    expected = (first + second + third + fourth) / 4
    measured = metrics.classification_metrics(LOGITS, LABELS)
    assert measured["brier"] == pytest.approx(expected)


def test_ece_weighs_the_gap_of_each_bin_by_its_share():
    # Confidences 0.7, 0.5, 0.8, 0.6 fall into four of 15 bins, one hit or miss each.
    expected = (0.3 + 0.5 + 0.2 + 0.4) / 4
    measured = metrics.classification_metrics(LOGITS, LABELS)
    assert measured["ece"] == pytest.approx(expected)


def test_ece_has_15_bins():
    # With 15 bins 0.62 (a hit) and 0.68 (a miss) lie apart: gaps 0.38 and 0.68. Ten
    # would put them together: |0.5 - 0.65| = 0.15.
    probs = np.array([[0.62, 0.38], [0.68, 0.32]])
    measured = metrics.classification_metrics(np.log(probs), np.array([0, 1]))
    assert measured["ece"] == pytest.approx(0.53)


def test_ece_of_a_calibrated_bin_is_zero():
    probs = np.tile([0.75, 0.25], (4, 1))
    measured = metrics.classification_metrics(np.log(probs), np.array([0, 0, 0, 1]))
    assert measured["ece"] == pytest.approx(0, abs=1e-12)


def test_top_5_is_reported_from_six_classes_on():
    logits = np.arange(6.0)[np.newaxis].repeat(2, axis=0)  # class 0 is last of six
    measured = metrics.classification_metrics(logits, np.array([0, 1]))
    assert measured["top_5_accuracy"] == 0.5
    assert "top_5_accuracy" not in metrics.classification_metrics(LOGITS, LABELS)


def test_extreme_logits_give_finite_metrics():
    logits = np.array([[80.0, -80.0], [-80.0, 80.0]], np.float32)
    measured = metrics.classification_metrics(logits, np.array([0, 0]))
    assert measured["nll"] == pytest.approx(80.0)
    assert measured["brier"] == pytest.approx(1.0)


def test_agreement_compares_classes_and_kl_probabilities():
    teacher = np.array(
        [[0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6]]
    )
    measured = metrics.teacher_metrics(LOGITS, np.log(teacher))
    assert measured["agreement"] == 0.75
    expected = np.sum(teacher * np.log(teacher / PROBS)) / 4
    assert measured["kl"] == pytest.approx(expected)
    expected = -np.sum(teacher * np.log(PROBS)) / 4
    assert measured["soft_nll"] == pytest.approx(expected)


def test_excluded_errors_are_counted_on_their_labels_alone():
    # The second example of class 0 is the only error.
    for excluded, (examples, errors) in {(0,): (2, 1), (1, 2): (2, 0)}.items():
        assert metrics.excluded_metrics(LOGITS, LABELS, excluded=excluded) == {
            "excluded_examples": examples,
            "excluded_errors": errors,
        }


def test_confusion_matrix_has_true_classes_as_rows():
    measured = metrics.class_metrics(LOGITS, LABELS)
    assert measured["confusion_matrix"] == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert measured["per_class_accuracy"] == [0.5, 1.0, 1.0]


def test_a_class_without_examples_has_no_accuracy():
    measured = metrics.class_metrics(LOGITS[:2], LABELS[:2])
    assert measured["per_class_accuracy"] == [0.5, None, None]


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize("num_images", [101, 16])
def test_every_image_is_answered_once_and_in_order(num_replicas, num_images):
    strategy = strategy_of(num_replicas)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((4, 4, 1), dtype="uint8"),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Flatten(),
                keras.layers.Dense(3),
            ]
        )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_images, 4, 4, 1), dtype=np.uint8)
    examples = data.ArrayExamples(
        inputs=images, labels=np.zeros(num_images, np.int32), ids=np.arange(num_images)
    )
    stop = distribution.stop_flag()
    predict = predictor(
        model,
        examples,
        batch_size=7,
        stop=stop,
        strategy=strategy,
        watched=contextlib.nullcontext,
        xla=False,
    )
    logits = predict()
    assert logits.shape == (num_images, 3)
    np.testing.assert_allclose(logits, model(images, training=False), atol=1e-6)
    # The same function sees new weights.
    model.layers[-1].bias.assign([1.0, 2.0, 3.0])
    np.testing.assert_allclose(predict() - logits, [[1, 2, 3]] * num_images, atol=1e-5)
    for wish, code in ((1.0, 143), (2.0**40, 130)):
        stop.assign(wish)
        with pytest.raises(StoppedError, match="evaluation") as stopped:
            predict()
        assert from_error(stopped.value) == code
