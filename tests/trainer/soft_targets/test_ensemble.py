"""Teachers together: the average of probabilities, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.oracle import bucket_probs, kl_of_probs, log_sum_exp, softmax
from trainer import losses
from trainer.evaluation import metrics
from trainer.losses import SoftTargets

NUM_EXAMPLES, NUM_CLASSES = 5, 9
WEIGHTS = (1.0, 3.0, 0.5)


def average(logits, weights, temperature):
    """Of the members' probabilities at T."""
    probs = [softmax(values, temperature) for values in logits]
    return np.average(probs, axis=0, weights=weights)


@pytest.fixture
def logits():
    """Of three members that agree on much, as trained ones do: [3, B, C]."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 4, (NUM_EXAMPLES, NUM_CLASSES))
    return shared + rng.normal(0, 2, (3, NUM_EXAMPLES, NUM_CLASSES))


def dense(logits):
    return SoftTargets(logits=tf.constant(logits, tf.float32))


def top(logits, k, temperature):
    """What a member says that keeps its k largest logits, and the mass of the rest."""
    order = np.argsort(-logits, axis=1)
    kept, rest = np.split(np.take_along_axis(logits, order, axis=1), [k], axis=1)
    classes, tail = order[:, :k], log_sum_exp(rest, temperature)
    return SoftTargets(
        logits=tf.constant(np.concatenate([kept, tail], axis=1), tf.float32),
        classes=tf.constant(classes, tf.int32),
    )


def ask(members, weights, temperature):
    """What an ensemble of these answers says of one batch."""
    predictions = losses.TeacherPredictions(
        members=[
            losses.Member(at=lambda temperature, member=member: member)
            for member in members
        ],
        weights=weights,
    )
    return predictions.at(temperature)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_softmax_at_t_is_the_weighted_average_of_probabilities(logits, temperature):
    targets = ask([dense(values) for values in logits], WEIGHTS, temperature)
    expected = average(logits, WEIGHTS, temperature)
    assert targets.classes is None
    np.testing.assert_allclose(
        softmax(targets.logits.numpy(), temperature), expected, rtol=2e-5
    )
    np.testing.assert_array_equal(targets.predicted, expected.argmax(axis=1))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_neither_averaged_logits_nor_another_temperature_give_the_same(
    logits, temperature
):
    targets = ask([dense(values) for values in logits], WEIGHTS, temperature)
    probs = softmax(targets.logits.numpy(), temperature)
    of_logits = softmax(np.average(logits, axis=0, weights=WEIGHTS) / temperature)
    assert np.abs(probs - of_logits).max() > 0.02
    # Members averaged at one temperature and tempered to the other.
    other = 5.0 - temperature
    late = softmax(np.log(average(logits, WEIGHTS, other)) * other / temperature)
    assert np.abs(probs - late).max() > 0.02


def test_a_member_that_rules_a_class_out_does_not_do_so_for_all():
    sure = [np.array([[0.0, 90.0]]), np.array([[90.0, 0.0]])]
    targets = ask([dense(values) for values in sure], (1.0, 3.0), 1.0)
    np.testing.assert_allclose(softmax(targets.logits.numpy()), [[0.75, 0.25]])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_top_classes_are_averaged_over_what_all_members_list(logits, temperature):
    members = [
        dense(logits[0]),
        top(logits[1], 4, temperature),
        top(logits[2], 3, temperature),
    ]
    targets = ask(members, WEIGHTS, temperature)
    listed = members[1].classes.numpy()
    is_shared = np.array(
        [np.isin(*rows) for rows in zip(listed, members[2].classes, strict=True)]
    )
    assert 0 < is_shared.sum() < is_shared.size
    np.testing.assert_array_equal(targets.classes, np.where(is_shared, listed, -1))
    of_classes = average(logits, WEIGHTS, temperature)
    alone = np.take_along_axis(of_classes, listed, axis=1) * is_shared
    rest = 1 - alone.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        softmax(targets.logits.numpy(), temperature),
        np.concatenate([alone, rest], axis=1),
        rtol=5e-5,
        atol=1e-7,
    )


def test_an_ensemble_can_be_a_member(logits):
    members = [top(logits[0], 4, 4.0), top(logits[1], 3, 4.0), dense(logits[2])]
    flat = ask(members, WEIGHTS, 4.0)
    inner = ask(members[:2], WEIGHTS[:2], 4.0)
    assert (inner.classes.numpy() < 0).any()
    for order in (1, -1):
        parts = [inner, members[2]][::order], [sum(WEIGHTS[:2]), WEIGHTS[2]][::order]
        nested = ask(*parts, 4.0)
        np.testing.assert_array_equal(nested.classes, flat.classes)
        np.testing.assert_allclose(
            softmax(nested.logits.numpy(), 4),
            softmax(flat.logits.numpy(), 4),
            rtol=1e-5,
        )
    # The third has other classes too, and lists those of the others elsewhere.
    third = top(logits[2], 5, 4.0)
    np.testing.assert_allclose(
        *(
            softmax(ask(answers, weights, 4.0).logits.numpy() / 4)
            for answers, weights in (
                ([inner, third], [sum(WEIGHTS[:2]), WEIGHTS[2]]),
                ([*members[:2], third], WEIGHTS),
            )
        ),
        rtol=1e-5,
    )


def test_members_that_share_no_class_leave_one_bucket():
    logits = np.array([[9.0, 1.0, 0.0]]), np.array([[0.0, 1.0, 9.0]])
    targets = ask([top(values, 1, 1.0) for values in logits], (1.0, 1.0), 1.0)
    np.testing.assert_array_equal(targets.classes, [[-1]])
    np.testing.assert_allclose(softmax(targets.logits.numpy()), [[0, 1]])


@pytest.mark.parametrize("k", [NUM_CLASSES, 3])
def test_the_soft_loss_compiled_by_xla_is_that_of_the_average(logits, k):
    temperature = 4.0
    members = [dense(logits[0]), top(logits[1], k - 1, temperature)]
    if k == NUM_CLASSES:
        members[1] = dense(logits[1])
    student = np.random.default_rng(1).normal(0, 3, logits[0].shape)

    @tf.function(jit_compile=True, autograph=False)
    def loss(student_logits):
        targets = ask(members, (1.0, 3.0), temperature)
        return losses.soft_loss(
            targets.to_buckets(student_logits, temperature=temperature),
            targets.logits,
            temperature=temperature,
        )

    with tf.GradientTape() as tape:
        given = tf.Variable(student, dtype=tf.float32)
        soft = loss(given)
    gradient = tape.gradient(soft, given)
    teacher = average(logits[:2], (1.0, 3.0), temperature)
    probs = softmax(student, temperature)
    if k < NUM_CLASSES:
        listed = members[1].classes.numpy()
        teacher, probs = (bucket_probs(values, listed) for values in (teacher, probs))
    expected = temperature**2 * kl_of_probs(teacher, probs)
    np.testing.assert_allclose(soft, expected, rtol=1e-4)
    assert np.isfinite(gradient).all()


def test_logits_of_a_split_give_the_average_at_t_1(logits):
    members = logits.astype(np.float32)
    joint = metrics.ensemble_logits(members, weights=WEIGHTS)
    assert joint.dtype == np.float32
    np.testing.assert_allclose(np.exp(joint), average(members, WEIGHTS, 1.0), rtol=1e-5)
