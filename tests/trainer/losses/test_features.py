"""Places of features: their mean, and pooling to the smaller number."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.feature_loss_oracle import pool
from trainer.losses import average_places, match_places


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("student", "teacher", "sizes"),
    [
        ((14, 14), (7, 7), (7, 7)),
        ((7, 7), (3, 3), (3, 3)),
        ((8, 5), (4, 9), (4, 5)),
        ((4, 4), (4, 4), (4, 4)),
        ((1, 1), (5, 3), (1, 1)),
        ((10,), (4,), (4,)),
        ((), (), ()),
    ],
)
def test_the_larger_number_of_places_is_pooled_along_each_axis(student, teacher, sizes):
    pair = tf.constant(drawn(2, *student, 3)), tf.constant(drawn(2, *teacher, 5))
    for found, features in zip(match_places(*pair), pair, strict=True):
        assert found.dtype == tf.float32
        np.testing.assert_allclose(
            found, pool(features.numpy(), sizes), rtol=1e-5, atol=1e-6
        )


def test_bins_overlap_where_numbers_do_not_divide():
    features = tf.constant([[[1.0], [2.0], [4.0]]])
    found, _ = match_places(features, tf.zeros([1, 2, 1]))
    np.testing.assert_allclose(found, [[[1.5], [3.0]]])


def test_pooled_features_pass_their_gradient_on():
    student, direction = drawn(2, 7, 5, 3), drawn(2, 7, 5, 3, seed=1)
    weights = drawn(2, 3, 4, 3, seed=2)
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        pooled, _ = match_places(variable, tf.zeros([2, 3, 4, 9]))
        total = tf.reduce_sum(pooled * weights)
    found = (tape.gradient(total, variable).numpy() * direction).sum()
    expected = (pool(direction, (3, 4)) * weights).sum()
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("places", [(), (6,), (3, 4)])
def test_the_mean_over_all_places_has_a_value_for_each_channel(places):
    features = drawn(2, *places, 5)
    found = average_places(tf.constant(features))
    expected = features.reshape(2, -1, 5).astype(np.float64).mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_sums_over_places_are_in_float32(dtype):
    features = tf.fill([1, 8, 8, 2], tf.constant(49152.0, dtype))
    small = tf.zeros([1, 3, 2, 2], dtype)
    for found in (average_places(features), *match_places(features, small)[:1]):
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, np.full(found.shape, 49152.0))


def test_pooling_compiles():
    pair = tf.constant(drawn(2, 8, 5, 3)), tf.constant(drawn(2, 4, 9, 2))
    compiled = tf.function(match_places, jit_compile=True)(*pair)
    for found, expected in zip(compiled, match_places(*pair), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
