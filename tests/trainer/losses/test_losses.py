"""The losses against NumPy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.oracle import cross_entropy, kl_divergence, log_softmax, softmax
from trainer import losses

RNG = np.random.default_rng(7)
STUDENT = RNG.normal(0, 3, (6, 10))
TEACHER = RNG.normal(0, 3, (6, 10))


def soft_loss(student: np.ndarray, teacher: np.ndarray, temperature: float):
    return losses.soft_loss(
        tf.constant(student, tf.float32),
        tf.constant(teacher, tf.float32),
        temperature=temperature,
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_soft_loss_is_temperature_squared_times_the_divergence(temperature):
    expected = temperature**2 * kl_divergence(TEACHER, STUDENT, temperature)
    actual = soft_loss(STUDENT, TEACHER, temperature)
    # T**2 multiplies the rounding of float32, 2**-24, of log-probabilities around 3.
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=temperature**2 * 2e-7)


def test_soft_loss_of_a_published_pair_of_logits():
    # t = [2, -1, 0.5], s = [0.1, 0.2, -0.3], T = 4: 0.7693, where a mean over the
    # classes gives 0.2564, no T**2 gives 0.0481, and logits without a softmax 3.2527.
    actual = soft_loss(np.array([[0.1, 0.2, -0.3]]), np.array([[2.0, -1.0, 0.5]]), 4.0)
    np.testing.assert_allclose(actual, [0.7693], atol=5e-5)


def test_soft_loss_goes_from_teacher_to_student():
    forward = soft_loss(STUDENT, TEACHER, 2.0)
    backward = soft_loss(TEACHER, STUDENT, 2.0)
    assert not np.allclose(forward, backward, rtol=1e-2)
    np.testing.assert_allclose(
        backward, 4 * kl_divergence(STUDENT, TEACHER, 2), rtol=1e-5
    )


def test_soft_loss_is_zero_where_the_student_is_the_teacher_plus_a_constant():
    np.testing.assert_allclose(soft_loss(TEACHER + 5, TEACHER, 3.0), 0, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_extreme_logits_give_finite_losses_and_gradients(temperature):
    extreme = np.array([[80.0, -80.0, 0.0], [-80.0, 80.0, 80.0]])
    student = tf.Variable(extreme[::-1].copy(), dtype=tf.float32)
    labels = tf.constant([2, 0])
    with tf.GradientTape(persistent=True) as tape:
        soft = losses.soft_loss(
            student, tf.constant(extreme, tf.float32), temperature=temperature
        )
        hard = losses.hard_loss(student, labels, label_smoothing=0.0)
    expected = temperature**2 * kl_divergence(extreme, extreme[::-1], temperature)
    np.testing.assert_allclose(soft, expected, rtol=1e-5)
    expected = cross_entropy(extreme[::-1], np.array([2, 0]))
    np.testing.assert_allclose(hard, expected, rtol=1e-5, atol=1e-6)
    for loss in (soft, hard):
        assert np.isfinite(tape.gradient(loss, student)).all()


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_gradient_of_the_soft_loss_is_t_times_the_difference_of_probabilities(
    temperature,
):
    student = tf.Variable(STUDENT, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = losses.soft_loss(
            student, tf.constant(TEACHER, tf.float32), temperature=temperature
        )
    probs = [softmax(x, temperature) for x in (STUDENT, TEACHER)]
    expected = temperature * (probs[0] - probs[1])
    np.testing.assert_allclose(tape.gradient(loss, student), expected, atol=1e-5)


def test_no_gradient_reaches_the_teacher():
    teacher = tf.Variable(TEACHER, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = losses.soft_loss(
            tf.constant(STUDENT, tf.float32), teacher, temperature=2.0
        )
    assert tape.gradient(loss, teacher) is None


def test_at_infinite_temperature_the_soft_loss_matches_centred_logits():
    # Hinton et al. 2015, section 2.1: T**2 KL -> |t - s|**2 / (2 C), means removed. In
    # float32 the divergence itself vanishes above T of about 1000.
    difference = TEACHER - STUDENT
    difference -= difference.mean(axis=1, keepdims=True)
    expected = np.square(difference).sum(axis=1) / (2 * STUDENT.shape[1])
    np.testing.assert_allclose(soft_loss(STUDENT, TEACHER, 300.0), expected, rtol=0.05)


def test_hard_loss_is_the_negative_log_probability_of_the_label():
    labels = np.array([0, 9, 3, 3, 7, 1])
    actual = losses.hard_loss(
        tf.constant(STUDENT, tf.float32), tf.constant(labels), label_smoothing=0.0
    )
    expected = cross_entropy(STUDENT, labels)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_smoothed_labels_leave_a_share_to_every_class():
    labels = np.array([0, 9, 3, 3, 7, 1])
    actual = losses.hard_loss(
        tf.constant(STUDENT, tf.float32), tf.constant(labels), label_smoothing=0.2
    )
    # 0.8 on the label and 0.2 / 10 on each class, the label too.
    log_probs = log_softmax(STUDENT)
    expected = -0.8 * log_probs[np.arange(6), labels] - 0.02 * log_probs.sum(axis=1)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_a_class_weight_multiplies_the_loss_of_its_label_alone():
    labels, weights = np.array([0, 9, 3, 3, 7, 1]), np.linspace(0.1, 4, 10)
    logits = tf.constant(STUDENT, tf.float32)
    actual = losses.hard_loss(
        logits, tf.constant(labels), label_smoothing=0.0, class_weights=tuple(weights)
    )
    expected = weights[labels] * cross_entropy(STUDENT, labels)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    unlabeled = losses.hard_loss(
        logits, tf.fill([6], -1), label_smoothing=0.0, class_weights=tuple(weights)
    )
    assert np.isfinite(unlabeled).all()


def test_bfloat16_logits_are_taken_to_float32_before_the_softmax():
    rounded = tf.cast(tf.constant(STUDENT, tf.float32), tf.bfloat16)
    soft = losses.soft_loss(rounded, tf.constant(TEACHER, tf.float32), temperature=4.0)
    hard = losses.hard_loss(rounded, tf.constant([0] * 6), label_smoothing=0.0)
    assert soft.dtype == hard.dtype == tf.float32
    exact = tf.cast(rounded, tf.float32).numpy().astype(np.float64)
    np.testing.assert_allclose(soft, 16 * kl_divergence(TEACHER, exact, 4), rtol=1e-5)
