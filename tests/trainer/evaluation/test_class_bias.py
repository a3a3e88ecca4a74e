"""The bias of a group of classes: against brute force and numbers found by hand."""

import numpy as np
import pytest

from trainer.evaluation import class_bias


def errors(logits, labels, bias, classes):
    corrected = logits.astype(np.float64)
    corrected[:, list(classes)] += bias
    return int((corrected.argmax(axis=1) != labels).sum())


def three(*examples):
    """Logits and labels of three classes: the third is as far behind as is said."""
    logits = np.array([[0, -99, -behind] for behind, _ in examples], np.float32)
    return logits, np.array([label for _, label in examples])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("classes", [(3,), (0, 1, 2, 5)])
def test_no_other_number_makes_fewer_errors_or_as_few_nearer_to_0(seed, classes):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, 60)
    logits = rng.normal(size=(60, 6)) + 2 * np.eye(6)[labels]
    logits[:, list(classes)] -= rng.uniform(-4, 4)
    # Of few different values, so that thresholds meet, and 0 is one of some.
    logits = np.round(logits, 1).astype(np.float32) if seed % 2 else logits
    others = np.setdiff1d(np.arange(6), classes)
    ends = np.unique(
        logits.astype(np.float64)[:, others].max(axis=1)
        - logits.astype(np.float64)[:, list(classes)].max(axis=1)
    )
    tried = np.array([ends[0] - 1, *(ends[1:] + ends[:-1]) / 2, ends[-1] + 1, 0])
    counts = np.array([errors(logits, labels, b, classes) for b in tried])
    bias = class_bias.fit(logits, labels, classes=classes)
    assert errors(logits, labels, bias, classes) == counts.min()
    if counts[-1] == counts.min():
        assert bias == 0
        return
    # Each interval reaches 0 at its lower end, or at its upper one below 0.
    lows, highs = np.array([-np.inf, *ends]), np.array([*ends, np.inf])
    distances = np.maximum(np.maximum(lows, -highs), 0)
    best = distances[counts[:-1] == counts.min()].min()
    (within,) = np.flatnonzero((lows < bias) & (bias < highs))
    # From 0 to there nothing changes after the nearest of the best begins.
    between = (distances >= best) & (distances <= distances[within])
    same_side = (lows >= 0) == (bias > 0)
    assert set(counts[:-1][between & same_side]) == {counts.min()}


@pytest.mark.parametrize(
    ("examples", "bias"),
    [
        # Right from 2 and from 3 on, and right up to 8.
        ([(2, 2), (3, 2), (8, 0)], 5.5),
        # Without an end above; without one below.
        ([(2, 2), (3, 2)], 4.0),
        ([(-4, 0), (-7, 0)], -8.0),
        # Wrong either way, so that nothing changes at 4.
        ([(2, 2), (3, 2), (8, 0), (4, 1)], 5.5),
        # Right as it is, between -1 and 6, and nothing is to be gained beyond.
        ([(6, 0), (-1, 2)], 0.0),
        # One error from 1 to 2 and from -2 to -1, two errors elsewhere.
        ([(1, 2), (2, 0), (-1, 0), (-2, 2)], 1.5),
        # One error from 2 to 3 and from -2 to -1.
        ([(2, 2), (3, 0), (-1, 0), (-2, 2)], -1.5),
        # A tie goes to the lower class: wrong at 0, right above.
        ([(0, 2)], 1.0),
        ([(0, 0)], 0.0),
        # Nobody can be right.
        ([(2, 1), (-3, 1)], 0.0),
    ],
)
def test_the_bias_is_the_middle_of_the_nearest_best_interval(examples, bias):
    logits, labels = three(*examples)
    assert class_bias.fit(logits, labels, classes=(2,)) == bias


def test_a_tie_between_intervals_at_0_and_the_logits_as_they_are_changes_nothing():
    # At 0 the tie of the second is right too: one error less than on either side.
    logits = np.array([[0.0, 0, 0], [0, 0, 0]])
    labels = np.array([0, 2])
    assert class_bias.fit(logits, labels, classes=(2,)) == 0
    logits = np.array([[0.0, -9, 0], [-9, 0, 0]])
    assert class_bias.fit(logits, np.array([0, 1]), classes=(2,)) == 0


def test_raising_the_classes_is_lowering_the_others():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 10)).astype(np.float32)
    unseen = (0, 1, 2, 3, 4, 5, 6, 9)
    raised = class_bias.add(logits, 7.6, classes=unseen)
    lowered = class_bias.add(logits, -7.6, classes=(7, 8))
    np.testing.assert_allclose(raised, lowered + 7.6)
    np.testing.assert_array_equal(raised[:, [7, 8]], logits[:, [7, 8]])
    np.testing.assert_allclose(raised[:, 9], logits[:, 9] + np.float64(7.6))


def test_thresholds_that_float32_would_round_together_stay_apart():
    # 1e8 and 1e8 + 8 are neighbours in float32; the middle is neither.
    logits = np.array([[1e8, 0, 0], [1e8 + 8, 0, 0]], np.float32)
    labels = np.array([2, 0])
    bias = class_bias.fit(logits, labels, classes=(2,))
    assert bias == 1e8 + 4
    corrected = class_bias.add(logits, bias, classes=(2,))
    assert corrected.argmax(axis=1).tolist() == [2, 0]
