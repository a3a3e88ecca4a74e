"""Soft targets over buckets against NumPy in float64.

Shapes: B = examples, C = classes, K = buckets, the last of which is the rest.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks import top_k
from tests.helpers.oracle import bucket_probs, kl_of_probs, softmax
from trainer import losses

NUM_CLASSES = 40
RNG = np.random.default_rng(11)
TEACHER = RNG.normal(0, 3, (6, NUM_CLASSES))
STUDENT = RNG.normal(0, 3, (6, NUM_CLASSES))
LARGEST = np.argsort(-TEACHER, axis=1)[:, :5]
TEMPERATURES = [1.0, 4.0, 10.0]


def coarser(logits: np.ndarray, classes: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities of some classes, and of all others together."""
    return bucket_probs(softmax(logits, temperature), classes)


def bucketed(logits: np.ndarray, classes: np.ndarray, temperature: float) -> tf.Tensor:
    return losses.to_buckets(
        tf.constant(logits, tf.float32),
        tf.constant(classes, tf.int32),
        temperature=temperature,
    )


def targets(classes: np.ndarray, temperature: float) -> losses.SoftTargets:
    """What the teacher says of these classes."""
    return losses.SoftTargets(
        logits=bucketed(TEACHER, classes, temperature),
        classes=tf.constant(classes, tf.int32),
    )


def loss_and_gradient(
    student: tf.Tensor, said: losses.SoftTargets, temperature: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """The loss [B] as a student in training has it, and its gradient [B, C]."""
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = losses.soft_loss(
            said.to_buckets(student, temperature=temperature),
            said.logits,
            temperature=temperature,
        )
    return loss, tape.gradient(loss, student)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_buckets_have_the_sums_of_the_probabilities_of_their_classes(temperature):
    logits = bucketed(STUDENT, LARGEST, temperature).numpy()
    expected = coarser(STUDENT, LARGEST, temperature)
    np.testing.assert_allclose(softmax(logits, temperature), expected, rtol=5e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_loss_is_the_divergence_of_the_coarser_distributions(temperature):
    student = tf.constant(STUDENT, tf.float32)
    said = targets(LARGEST, temperature)
    loss, _ = loss_and_gradient(student, said, temperature)
    expected = temperature**2 * kl_of_probs(
        coarser(TEACHER, LARGEST, temperature),
        coarser(STUDENT, LARGEST, temperature),
    )
    # T**2 multiplies the rounding of float32, as in losses/test_losses.py.
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=temperature**2 * 2e-7)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_coarser_the_buckets_the_smaller_the_loss(temperature):
    """The data processing inequality: what is put together cannot be told apart."""
    student = tf.constant(STUDENT, tf.float32)
    order = np.argsort(-TEACHER, axis=1)
    dense = temperature**2 * kl_of_probs(
        softmax(TEACHER, temperature), softmax(STUDENT, temperature)
    )
    finer = dense
    for k in (NUM_CLASSES - 1, 20, 5, 1):
        said = targets(order[:, :k], temperature)
        loss = loss_and_gradient(student, said, temperature)[0].numpy()
        assert (loss <= finer * (1 + 1e-5)).all()
        finer = loss
    assert (finer < 0.9 * dense).all()


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_gradient_is_shared_among_the_classes_of_a_bucket(temperature):
    """It is T (Q - P) of a bucket, times the student's share q / Q of a class in it."""
    student = tf.constant(STUDENT, tf.float32)
    _, gradient = loss_and_gradient(student, targets(LARGEST, temperature), temperature)
    gap = coarser(STUDENT, LARGEST, temperature) - coarser(
        TEACHER, LARGEST, temperature
    )
    probs = softmax(STUDENT, temperature)
    rest = coarser(STUDENT, LARGEST, temperature)[:, -1:]
    expected = gap[:, -1:] * probs / rest
    np.put_along_axis(expected, LARGEST, gap[:, :-1], axis=1)
    np.testing.assert_allclose(gradient, temperature * expected, atol=5e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_gradient_is_the_slope_of_the_loss(temperature):
    student = tf.constant(STUDENT, tf.float32)
    _, gradient = loss_and_gradient(student, targets(LARGEST, temperature), temperature)
    taught = coarser(TEACHER, LARGEST, temperature)

    def loss(logits: np.ndarray) -> np.ndarray:
        probs = coarser(logits, LARGEST, temperature)
        return temperature**2 * kl_of_probs(taught, probs)

    for moved in (LARGEST[0, 0], LARGEST[0, -1], *range(4)):
        step = np.zeros(NUM_CLASSES)
        step[moved] = 1e-5
        slope = (loss(STUDENT + step) - loss(STUDENT - step)) / 2e-5
        np.testing.assert_allclose(gradient[:, moved], slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_extreme_logits_and_an_empty_rest_give_finite_gradients(temperature):
    extreme = np.where(np.arange(NUM_CLASSES) % 2, 80.0, -80.0) * np.ones((6, 1))
    every = np.tile(np.arange(NUM_CLASSES), (6, 1))
    for classes in (LARGEST, every):
        said = targets(classes, temperature)
        loss, gradient = loss_and_gradient(
            tf.constant(extreme, tf.float32), said, temperature
        )
        assert np.isfinite(loss).all()
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_a_bucket_for_each_class_is_the_dense_loss(temperature):
    student = tf.constant(STUDENT, tf.float32)
    every = np.argsort(-TEACHER, axis=1)
    actual = loss_and_gradient(student, targets(every, temperature), temperature)
    said = losses.SoftTargets(logits=tf.constant(TEACHER, tf.float32))
    expected = loss_and_gradient(student, said, temperature)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_empty_buckets_change_nothing(temperature):
    student = tf.constant(STUDENT, tf.float32)
    nothing = np.full((6, 1), -1)
    padded = np.hstack([nothing, LARGEST[:, :2], nothing, LARGEST[:, 2:], nothing])
    expected = loss_and_gradient(student, targets(LARGEST, temperature), temperature)
    actual = loss_and_gradient(student, targets(padded, temperature), temperature)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "temperature",
    [
        4.0,
        *(pytest.param(other, marks=pytest.mark.slow) for other in (1.0, 10.0)),
    ],
)
def test_xla_gives_the_same(temperature):
    classes = LARGEST.copy()
    classes[0, 3:] = -1

    def compute(student: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return loss_and_gradient(student, targets(classes, temperature), temperature)

    student = tf.constant(STUDENT, tf.float32)
    expected = compute(student)
    actual = tf.function(compute, jit_compile=True, autograph=False)(student)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_the_predicted_class_is_the_teacher_s_whatever_the_buckets():
    expected = TEACHER.argmax(axis=1)
    dense = losses.SoftTargets(logits=tf.constant(TEACHER, tf.float32))
    np.testing.assert_array_equal(dense.predicted, expected)
    # Not the first of the list, an empty bucket before it, the rest the heaviest.
    classes = np.hstack([np.full((6, 1), -1), LARGEST[:, ::-1]])
    said = targets(classes, 10.0)
    assert (np.argmax(said.logits, axis=1) == classes.shape[1]).all()
    np.testing.assert_array_equal(said.predicted, expected)


def test_the_tail_at_a_temperature_is_not_the_tempered_tail_of_one():
    """Many small classes gain more from a temperature than one of their joint mass."""
    teacher = top_k.teacher_logits()
    largest = np.argsort(-teacher, axis=1)[:, :10]
    at_one = coarser(teacher, largest, 1.0)
    assert 0.7 < at_one.max(axis=1).mean() < 0.9
    at_four = coarser(teacher, largest, 4.0)
    tempered = at_one**0.25 / (at_one**0.25).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(at_four[:, -1].mean(), 0.96, atol=0.005)
    np.testing.assert_allclose(tempered[:, -1].mean(), 0.15, atol=0.005)
    # What `to_buckets` gives is the true one.
    logits = bucketed(teacher, largest, 4.0).numpy().astype(np.float64)
    np.testing.assert_allclose(softmax(logits, 4.0), at_four, rtol=1e-5)
