"""Classes of a teacher joined to those of the data, against NumPy in float64."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from trainer.config import ClassMap
from trainer.evaluation import metrics
from trainer.losses import Member, SoftTargets, TeacherPredictions, join_member
from trainer.losses.joined_classes import join_classes

# ImageNet's 1000 classes to 10: the first of them is one of the teacher's, others are
# up to 30, and 800 are left out.
RNG = np.random.default_rng(3)
CHOSEN = RNG.permutation(1000)[:200]
BOUNDS = [0, 1, 5, 10, 20, 40, 70, 100, 130, 160, 200]
GROUPS = [
    tuple(int(i) for i in np.sort(CHOSEN[a:b])) for a, b in itertools.pairwise(BOUNDS)
]
LOGITS = RNG.normal(0, 6, (16, 1000)).astype(np.float32)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def summed(logits, temperature):
    """Probabilities of all of the teacher's classes, summed, and normalised at last."""
    every = softmax(logits.astype(np.float64) / temperature)
    sums = np.stack([every[:, list(group)].sum(axis=1) for group in GROUPS], axis=1)
    return sums / sums.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_1000_classes_give_10_their_summed_probabilities(temperature):
    expected = summed(LOGITS, temperature)
    in_step = join_classes(tf.constant(LOGITS), GROUPS, temperature=temperature)
    class_map = ClassMap(groups=tuple(GROUPS), num_left_out=800)
    found = metrics.map_logits(LOGITS, class_map, temperature)
    for logits in (in_step.numpy(), found):
        assert (logits.shape, logits.dtype) == ((16, 10), np.float32)
        np.testing.assert_allclose(
            softmax(logits / temperature), expected, rtol=2e-5, atol=1e-9
        )


def test_summing_at_one_temperature_is_not_summing_at_another():
    """What makes it matter that raw logits are kept."""
    at_one = join_classes(tf.constant(LOGITS), GROUPS, temperature=1.0).numpy()
    assert np.abs(softmax(at_one / 4.0) - summed(LOGITS, 4.0)).max() > 0.05


def test_a_temperature_that_changes_by_the_step_is_followed():
    step = tf.function(
        lambda t: join_classes(tf.constant(LOGITS), GROUPS, temperature=t),
        jit_compile=True,
    )
    found = step(tf.constant(7.0)).numpy() / 7.0
    np.testing.assert_allclose(softmax(found), summed(LOGITS, 7.0), rtol=5e-5)


def test_classes_one_by_one_keep_their_logits_to_the_last_bit():
    groups = [(7,), (3,), (999,)]
    found = join_classes(tf.constant(LOGITS), groups, temperature=3.0)
    np.testing.assert_array_equal(found, LOGITS[:, [7, 3, 999]])


def test_members_of_other_classes_are_averaged_over_the_data_s():
    """One network of 1000 classes, and one of the data's 10, at one temperature."""
    other = RNG.normal(0, 3, (16, 10)).astype(np.float32)
    members = [
        Member(at=lambda t, x=x: SoftTargets(logits=tf.constant(x)))
        for x in (LOGITS, other)
    ]
    together = TeacherPredictions(
        members=[join_member(members[0], GROUPS), members[1]], weights=(1.0, 3.0)
    )
    expected = (summed(LOGITS, 4.0) + 3 * softmax(other.astype(float) / 4.0)) / 4
    found = softmax(together.at(4.0).logits.numpy() / 4.0)
    np.testing.assert_allclose(found, expected, rtol=5e-5)
