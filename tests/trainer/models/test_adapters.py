"""Adapters: their sizes, their first weights, their precision, and what moves them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import models, optimizers
from trainer.config import SgdOptions, TrainConfig
from trainer.config.losses import AdapterOptions

LINEAR = AdapterOptions()
NORMALISED = AdapterOptions(batch_norm=True)
NONE = AdapterOptions(adapter="none")
MAP, VECTOR = (5, 6, 3), (7,)


def adapter(
    options=LINEAR,
    *,
    student=MAP,
    teacher=(5, 6, 4),
    has_variance=False,
    key=(0, 0, 0),
    precision="float32",
):
    return models.Adapter(
        options,
        student=student,
        teacher=teacher,
        has_variance=has_variance,
        key=key,
        precision=precision,
        name="adapter",
    )


def drawn(shape, count=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("options", "student", "teacher", "has_variance", "shapes"),
    [
        # A 1x1 convolution of 3 to 4 channels: 12 weights and 4 biases.
        (LINEAR, MAP, (5, 6, 4), False, [(1, 1, 3, 4), (4,)]),
        (LINEAR, VECTOR, (4,), False, [(7, 4), (4,)]),
        (LINEAR, (9, 3), (9, 4), False, [(3, 4), (4,)]),  # a sequence
        (LINEAR, MAP, (5, 6, 4), True, [(1, 1, 3, 4), (4,), (4,)]),
        (NONE, MAP, (5, 6, 3), True, [(3,)]),
        (NORMALISED, VECTOR, (4,), False, [(7, 4), (4,), (4,), (4,)]),
        (NORMALISED, MAP, (5, 6, 2), True, [(1, 1, 3, 2), *[(2,)] * 4]),
    ],
)
def test_weights_are_those_of_a_1x1_convolution_or_a_dense_layer(
    options, student, teacher, has_variance, shapes
):
    made = adapter(options, student=student, teacher=teacher, has_variance=has_variance)
    found = [tuple(v.shape) for v in made.trainable_variables]
    assert sorted(found) == sorted(shapes)
    moving = 2 * teacher[-1] if options.batch_norm else 0
    assert made.count_params() == sum(map(np.prod, shapes)) + moving
    x = drawn(student)
    assert made(x, training=True).shape == (4, *teacher)
    if options is LINEAR:
        kernel, bias = made.weights[-2:]
        assert not np.any(bias)
        bias.assign(np.arange(teacher[-1]))
        expected = x @ np.reshape(kernel, (student[-1], -1)) + np.arange(teacher[-1])
        np.testing.assert_allclose(made(x, training=True), expected, atol=1e-5)
    elif options is NONE:
        np.testing.assert_array_equal(made(x, training=True), x)


def test_the_first_weights_are_those_of_seed_and_term_whatever_was_drawn_before():
    def kernel(*key, seed):
        keras.utils.set_random_seed(seed)
        keras.layers.Dense(9).build((None, 3))  # draws
        return adapter(key=key).weights[0].numpy()

    first = kernel(3, 1, 0, seed=1)
    np.testing.assert_array_equal(kernel(3, 1, 0, seed=2), first)
    np.testing.assert_array_equal(adapter(key=(3, 1, 0)).weights[0], first)
    # Another seed, term, or pair of layers in a term.
    others = [kernel(*key, seed=1) for key in ((4, 1, 0), (3, 2, 0), (3, 1, 1))]
    for i, other in enumerate(others):
        assert np.abs(other - first).max() > 0.1
        for another in others[:i]:
            assert np.abs(other - another).max() > 0.1
    # As Glorot and Bengio draw them: below sqrt(6 / (inputs + outputs)).
    assert 0.5 * np.sqrt(6 / 7) < np.abs(first).max() <= np.sqrt(6 / 7)


@pytest.mark.parametrize("given", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("options", [LINEAR, NORMALISED, NONE])
def test_values_of_any_precision_are_taken(options, precision, given):
    shape = (6,)
    teacher = shape if options is NONE else (4,)
    made = adapter(
        options, student=shape, teacher=teacher, has_variance=True, precision=precision
    )
    exact = adapter(options, student=shape, teacher=teacher, has_variance=True)
    assert {v.dtype for v in made.variables} == {"float32"}
    x = tf.cast(drawn(shape), given)

    @tf.function(autograph=False, jit_compile=options is LINEAR)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = made(x, training=True)
            error = tf.square(tf.cast(found, tf.float32)) / made.variance
            loss = tf.reduce_sum(error + tf.math.log(made.variance))
        return found, tape.gradient(loss, [x, *made.trainable_variables])

    found, (slope, *slopes) = run(x)
    expected = exact(tf.cast(x, tf.float32), training=True)
    # bfloat16 has 8 significant bits.
    tolerance = 1e-5 if (precision, given) == ("float32", "float32") else 0.05
    np.testing.assert_allclose(tf.cast(found, tf.float32), expected, atol=tolerance)
    assert slope.dtype == given
    for gradient in slopes:
        assert gradient.dtype == "float32"
        assert np.isfinite(gradient).all()
    assert made.variance.dtype == "float32"


def test_the_variance_starts_at_5_and_is_trained():
    made = adapter(student=VECTOR, teacher=(4,), has_variance=True)
    np.testing.assert_allclose(made.variance, [5.0] * 4, rtol=1e-6)
    raw = made.weights[0]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(made.variance)
    slope = tape.gradient(loss, raw.value)
    # The slope of softplus, where 5 is its value: 1 - exp(-5).
    np.testing.assert_allclose(slope, [1 - np.exp(-5.0)] * 4, rtol=1e-4)
    # However small, it divides, and has a logarithm.
    raw.assign([-1e4, -30.0, 0.0, 1e4])
    assert (made.variance.numpy() > 0).all()
    assert np.isfinite(np.log(made.variance)).all()


TRAIN = TrainConfig(
    global_batch_size=8,
    steps=4,
    learning_rate=0.5,
    optimizer="sgd",
    optimizer_options=SgdOptions(momentum=0.0),
    weight_decay=0.1,
    clip_norm=1.0,
    ema=0.5,
)


def test_one_update_moves_student_and_adapters_by_one_vector():
    student = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    made = adapter(NORMALISED, student=(1,), teacher=(2,), has_variance=True)
    update = optimizers.OptimizerUpdate(student, TRAIN, float16=False, adapters=[made])
    before = {v.path: v.numpy() for v in (*student.variables, *made.variables)}
    trained = [*student.trainable_variables, *made.trainable_variables]
    sizes = [int(np.prod(v.shape)) for v in trained]
    gradient = np.random.default_rng(2).normal(size=sum(sizes))
    statistics = [np.array([3.0, 4.0]), np.array([5.0, 6.0])]
    assert [v.path.rpartition("/")[2] for v in update.moving] == [
        *("moving_mean", "moving_variance")
    ]
    update.apply(
        tf.constant(gradient, tf.float32),
        [tf.constant(value, tf.float32) for value in statistics],
        tf.constant(0.5),
    )
    # One norm over both, and decay of kernels alone.
    slope = gradient / max(np.linalg.norm(gradient), 1.0)
    parts = np.split(slope, np.cumsum(sizes)[:-1])
    for part, variable in zip(parts, trained, strict=True):
        kept = 1 - 0.5 * 0.1 if variable.name == "kernel" else 1
        expected = kept * before[variable.path] - 0.5 * part.reshape(variable.shape)
        np.testing.assert_allclose(variable, expected, atol=1e-6)
    for variable, value in zip(update.moving, statistics, strict=True):
        np.testing.assert_array_equal(variable, value)
    # The first average keeps a tenth of what it was.
    moved = [*trained, *update.moving]
    now = [v.numpy() for v in moved]
    with update.averaged_weights():
        for variable, value in zip(moved, now, strict=True):
            expected = 0.1 * before[variable.path] + 0.9 * value
            np.testing.assert_allclose(variable, expected, rtol=1e-5, atol=1e-6)
    for variable, value in zip(moved, now, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_forward_pass_in_inference_moves_no_statistic():
    made = adapter(NORMALISED, student=VECTOR, teacher=(4,))
    before = [v.numpy() for v in made.variables]
    made(drawn(VECTOR), training=False)
    for variable, value in zip(made.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
