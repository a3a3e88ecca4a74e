"""What an update does with reduced gradients, against NumPy and on other devices."""

import dataclasses
import functools
import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.devices import numpy_of
from tests.helpers.students import (
    ADAM,
    BATCH,
    IMAGE_SHAPE,
    NUM_CLASSES,
    SGD,
    Run,
    batch_norm_model,
    examples,
)
from trainer.config import MlpOptions, SgdOptions, TrainConfig
from trainer.train import objective

RATE = 0.1
PLAIN = TrainConfig(
    global_batch_size=BATCH,
    steps=20,
    learning_rate=RATE,
    optimizer="sgd",
    optimizer_options=SgdOptions(momentum=0.0),
)
# The reference of each test is one device without XLA.
COMPILED = [pytest.param(n, True, marks=pytest.mark.slow) for n in (1, 2)]
DEVICES = pytest.mark.parametrize(("num_replicas", "xla"), [(2, False), *COMPILED])
SMALL = MlpOptions(hidden_sizes=(8,))


def plus(train: TrainConfig, **settings: object) -> TrainConfig:
    return dataclasses.replace(train, **settings)


@functools.cache
def after(train: TrainConfig, num_steps: int, **settings: object) -> list[np.ndarray]:
    """The weights of a student that learns from labels alone."""
    run = Run(train=train, distil=False, **settings)
    run.compiled.run(num_steps)
    return run.weights()


def assert_close(actual, expected, *, atol: float = 1e-6) -> None:
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def one_gradient() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The first weights and their mean gradient, from one step of plain SGD."""
    before = Run(train=PLAIN, options=SMALL).weights()
    moved = zip(before, after(PLAIN, 1, options=SMALL), strict=True)
    return before, [(old - new) / RATE for old, new in moved]


# Clipping.


@pytest.mark.slow
@DEVICES
@pytest.mark.parametrize("share", [0.5, 2.0])
def test_the_norm_of_the_reduced_gradient_is_clipped(share, num_replicas, xla):
    before, gradient = one_gradient()
    norm = math.sqrt(sum(np.square(part).sum() for part in gradient))
    clipped = after(
        plus(PLAIN, clip_norm=share * norm),
        1,
        options=SMALL,
        num_replicas=num_replicas,
        xla=xla,
    )
    factor = RATE * min(1.0, share)
    assert_close(
        clipped, [w - factor * g for w, g in zip(before, gradient, strict=True)]
    )


@pytest.mark.slow
def test_the_gradient_norm_is_reported_as_it_was_before_clipping():
    free = Run(train=PLAIN, options=SMALL).compiled.run(1)["gradient_norm"]
    clipped = Run(train=plus(PLAIN, clip_norm=free / 3), options=SMALL).compiled.run(1)
    assert clipped["gradient_norm"] == pytest.approx(free, rel=1e-6)


# Decay.


@DEVICES
@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("adam", "adamw")),
    ],
)
def test_decay_is_decoupled_from_the_gradient(optimizer, num_replicas, xla):
    # The rules move a weight by what its gradients say alone, so that one step with
    # decay is the step without it, less the decayed share of the first weights.
    base = PLAIN if optimizer == "sgd" else plus(ADAM, optimizer=optimizer)
    before = Run(train=base, options=SMALL).weights()
    free = after(base, 1, options=SMALL)
    decayed = after(
        plus(base, weight_decay=0.5),
        1,
        options=SMALL,
        num_replicas=num_replicas,
        xla=xla,
    )
    expected = [
        # Kernels are matrices and decay, biases are vectors and do not.
        new - base.learning_rate * 0.5 * old * (old.ndim == 2)
        for old, new in zip(before, free, strict=True)
    ]
    assert_close(decayed, expected)


def test_variables_are_excluded_from_decay_by_name():
    free = after(PLAIN, 1, options=SMALL)
    train = plus(PLAIN, weight_decay=0.5, weight_decay_exclude=("kernel",))
    before = Run(train=train, options=SMALL).weights()
    decayed = after(train, 1, options=SMALL)
    for old, new, plain in zip(before, decayed, free, strict=True):
        if old.ndim == 2:
            np.testing.assert_array_equal(new, plain)
    assert_close(decayed, free)  # biases start at 0 and have nothing to lose


@pytest.mark.slow
def test_batch_norm_s_scale_and_offset_do_not_decay_by_default():
    train = plus(PLAIN, weight_decay=0.5)
    free = after(PLAIN, 1, build=batch_norm_model)
    decayed = after(train, 1, build=batch_norm_model)
    run = Run(train=train, build=batch_norm_model)
    for variable, new, plain in zip(run.student.variables, decayed, free, strict=True):
        if variable.name != "kernel":
            np.testing.assert_array_equal(new, plain, err_msg=variable.path)


# Accumulation.


@pytest.mark.slow
@DEVICES
def test_micro_batches_equal_one_big_batch(num_replicas, xla):
    # With dropout, whose masks belong to places in the global batch.
    whole, parts = (
        Run(train=train, num_replicas=replicas, xla=compiled)
        for train, replicas, compiled in (
            (SGD, 1, False),
            (plus(SGD, accumulate=3), num_replicas, xla),
        )
    )
    expected = whole.compiled.run(10)
    assert parts.compiled.run(10) == pytest.approx(expected, rel=1e-5)
    assert_close(parts.weights(), whole.weights(), atol=1e-5)


@pytest.mark.slow
def test_micro_batches_are_smaller_than_the_batch():
    seen = []

    def watched(computed: objective.Objective) -> objective.Objective:
        def run(batch, step, scale):
            seen.append(batch["input"].shape[0])
            return computed.run(batch, step, scale)

        return dataclasses.replace(computed, run=run)

    Run(train=plus(PLAIN, accumulate=3), change_core=watched).compiled.run(1)
    assert set(seen) == {BATCH // 3}


def embedding_model(
    options: MlpOptions, seed: int = 0, precision: str = "float32"
) -> keras.Model:
    """Each pixel's value has a vector; a batch moves those of the values it has."""
    del options, precision
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, dtype="uint8"),
            keras.layers.Flatten(),
            keras.layers.Embedding(256, 2),
            keras.layers.Flatten(),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


@pytest.mark.slow
def test_micro_batches_of_an_embedding_equal_one_big_batch():
    whole, parts = (
        Run(train=plus(PLAIN, accumulate=count), build=embedding_model)
        for count in (1, 3)
    )
    assert parts.compiled.run(3) == pytest.approx(whole.compiled.run(3), rel=1e-5)
    assert_close(parts.weights(), whole.weights(), atol=1e-6)


# Averages.


@DEVICES
def test_averages_follow_weights_and_moving_statistics(num_replicas, xla):
    run = Run(
        train=plus(SGD, ema=0.3),
        build=batch_norm_model,
        num_replicas=num_replicas,
        xla=xla,
    )
    expected = run.weights()
    for step in range(8):
        run.compiled.run(1)
        decay = min(0.3, (1 + step) / (10 + step))
        assert (decay < 0.3) == (step < 3)  # both halves of the rule are seen
        expected = [
            decay * average + (1 - decay) * weight
            for average, weight in zip(expected, run.weights(), strict=True)
        ]
    own = run.weights()
    with run.update.averaged_weights():
        assert_close(run.weights(), expected)
    for weight, before in zip(run.weights(), own, strict=True):
        np.testing.assert_array_equal(weight, before)


def test_without_averages_a_model_is_judged_by_its_weights():
    run = Run(train=SGD, options=SMALL)
    run.compiled.run(3)
    own = run.weights()
    with run.update.averaged_weights():
        for weight, before in zip(run.weights(), own, strict=True):
            np.testing.assert_array_equal(weight, before)


@pytest.mark.slow
def test_averages_do_not_change_the_training():
    plain, averaged = (
        after(train, 5, options=SMALL) for train in (SGD, plus(SGD, ema=0.9))
    )
    for weight, other in zip(averaged, plain, strict=True):
        np.testing.assert_array_equal(weight, other)


def test_an_average_starts_from_the_weights_given_and_not_from_zero():
    run = Run(train=plus(SGD, ema=0.9), options=SMALL)
    first = run.weights()
    with run.update.averaged_weights():
        for weight, before in zip(run.weights(), first, strict=True):
            np.testing.assert_array_equal(weight, before)


# Loss scale.

FIRST = 2.0**15 / 16  # for a sum over 12 examples, 16 to the nearest power of two


def overflowing(steps: set[int], *, replica: int):
    """The core with an infinite gradient and metric on one replica in some steps."""

    def changed(computed: objective.Objective) -> objective.Objective:
        def run(batch, step, scale):
            gradients, sums = computed.run(batch, step, scale)
            here = tf.distribute.get_replica_context().replica_id_in_sync_group
            due = tf.reduce_any(tf.cast(step, tf.int32) == tf.constant(sorted(steps)))
            due &= here == replica
            extra = tf.where(due, math.inf, 0.0)
            return [gradients[0] + extra, *gradients[1:]], sums + extra

        return dataclasses.replace(computed, run=run)

    return changed


def scaled(steps: set[int], *, num_replicas: int = 2, **settings: object) -> Run:
    """A float16 student whose last replica overflows in `steps`."""
    return Run(
        train=SGD,
        num_replicas=num_replicas,
        precision="mixed_float16",
        change_core=overflowing(steps, replica=num_replicas - 1),
        **settings,
    )


def copies(run: Run) -> list[list[np.ndarray]]:
    """Each variable but the step counter and the loss scale, on every replica."""
    state = {k: v for k, v in run.update.state.items() if k != "loss_scale"}
    variables = itertools.chain(run.student.variables, *state.values())
    return [
        [copy.numpy() for copy in run.strategy.experimental_local_results(v.value)]
        for v in variables
        if v is not run.update.iterations
    ]


@pytest.mark.slow
@DEVICES
def test_an_overflow_on_one_replica_leaves_out_the_update_on_all(num_replicas, xla):
    run = scaled({2}, num_replicas=num_replicas, xla=xla, build=batch_norm_model)
    run.compiled.run(2)
    before = copies(run)
    skipped = run.compiled.run(1)
    assert skipped == {"overflow": 1.0, "loss_scale": FIRST, "stop": 0.0}
    for old, new in zip(before, copies(run), strict=True):
        np.testing.assert_array_equal(old, new)
    assert {float(copy) for copy in numpy_copies(run.update.loss_scale.value)} == {
        FIRST / 2
    }
    assert {int(copy) for copy in numpy_copies(run.update.iterations)} == {3}

    metrics = run.compiled.run(1)
    assert (metrics["overflow"], metrics["loss_scale"]) == (0, FIRST / 2)
    assert all(math.isfinite(value) for value in metrics.values())
    moved = zip(before, copies(run), strict=True)
    assert any((old[0] != new[0]).any() for old, new in moved)


def numpy_copies(variable: keras.Variable) -> list[np.ndarray]:
    """The value on every replica."""
    copies = getattr(variable.value, "values", [variable.value])
    return [copy.numpy() for copy in copies]


def test_overflows_do_not_enter_the_means_of_a_loop():
    run = scaled({1, 4}, options=SMALL)
    metrics = run.compiled.run(6)
    assert metrics["overflow"] == pytest.approx(2 / 6)
    # The first scale twice, then half of it three times, then a quarter.
    assert metrics["loss_scale"] == pytest.approx(FIRST * (2 + 3 / 2 + 1 / 4) / 6)
    assert 0 < metrics["loss"] < 10
    assert 0 < metrics["accuracy"] <= 1


@pytest.mark.slow
def test_the_scale_doubles_after_2000_good_steps_in_a_row():
    run = scaled({0, 3}, options=SMALL)
    value, good_steps = run.update.loss_scale.variables
    run.compiled.run(1)
    assert (numpy_of(value), numpy_of(good_steps)) == (FIRST / 2, 0)
    good_steps.assign(1997)
    run.compiled.run(2)
    assert (numpy_of(value), numpy_of(good_steps)) == (FIRST / 2, 1999)
    run.compiled.run(1)  # the overflow of step 3 starts the count anew
    assert (numpy_of(value), numpy_of(good_steps)) == (FIRST / 4, 0)
    good_steps.assign(1999)
    run.compiled.run(1)
    assert (numpy_of(value), numpy_of(good_steps)) == (FIRST / 2, 0)


def test_what_overflows_with_the_mean_loss_at_scale_1_is_the_training_s_own():
    run = scaled({1}, options=SMALL)
    run.update.loss_scale.value.assign(FIRST / 2**15)
    run.compiled.run(1)
    assert not math.isfinite(run.compiled.run(1)["gradient_norm"])
    assert not all(np.isfinite(weight).all() for weight in run.weights())


@pytest.mark.slow
@DEVICES
def test_a_power_of_two_as_scale_does_not_change_a_float32_training(num_replicas, xla):
    # A float32 model under a scale: multiplying and dividing by 2**15 is exact.
    plain = Run(train=SGD, build=batch_norm_model, num_replicas=num_replicas, xla=xla)
    under = scaled({99}, build=batch_norm_model, num_replicas=num_replicas, xla=xla)
    plain.compiled.run(5)
    under.compiled.run(5)
    assert_close(under.weights(), plain.weights(), atol=1e-6)


@pytest.mark.slow
def test_float16_trains_float32_variables_near_the_float32_run():
    exact = Run(train=SGD, options=SMALL)
    half = Run(train=SGD, options=SMALL, precision="mixed_float16")
    assert {v.dtype for v in half.student.variables} == {"float32"}
    assert half.student.layers[-1].compute_dtype == "float32"
    assert half.student.layers[-2].compute_dtype == "float16"
    # float16 has 11 significant bits: 2**-11 = 0.05 % a rounding.
    np.testing.assert_allclose(half.losses(10), exact.losses(10), rtol=0.01)


def faint(options: MlpOptions, precision: str) -> keras.Model:
    """A float16 model whose hidden layer has gradients near 1e-9."""
    del options, precision
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dense(8, dtype="mixed_float16")(x)
    logits = keras.layers.Dense(
        NUM_CLASSES,
        kernel_initializer=keras.initializers.RandomUniform(-1e-9, 1e-9, seed=0),
        dtype="float32",
    )
    return keras.Model(image, logits(x))


@pytest.mark.parametrize(
    ("precision", "moves"), [("float32", False), ("mixed_float16", True)]
)
def test_a_scale_keeps_gradients_that_float16_would_lose(precision, moves):
    # Below 2**-25 float16 has nothing but 0. The rate is large enough to see them.
    train = plus(PLAIN, learning_rate=1e6)
    run = Run(train=train, build=faint, precision=precision, images=examples(BATCH))
    before = run.weights()[0]
    run.compiled.run(1)
    assert (run.weights()[0] != before).any() == moves


# Label smoothing.


@pytest.mark.slow
@DEVICES
def test_label_smoothing_is_the_same_on_any_devices(num_replicas, xla):
    train = plus(SGD, label_smoothing=0.2)
    one, other = (
        Run(train=train, num_replicas=replicas, xla=compiled, distil=False)
        for replicas, compiled in ((1, False), (num_replicas, xla))
    )
    assert other.losses(10) == pytest.approx(one.losses(10), rel=1e-5)


# Everything at once.


@pytest.mark.slow
@DEVICES
def test_all_of_it_together_is_the_same_on_any_devices(num_replicas, xla):
    train = plus(
        ADAM,
        optimizer="adamw",
        weight_decay=0.1,
        clip_norm=0.5,
        accumulate=2,
        ema=0.9,
        label_smoothing=0.1,
    )
    one, other = (
        Run(train=train, num_replicas=replicas, xla=compiled)
        for replicas, compiled in ((1, False), (num_replicas, xla))
    )
    assert other.losses(20) == pytest.approx(one.losses(20), rel=1e-5)
    assert_close(other.weights(), one.weights(), atol=1e-5)
    with one.update.averaged_weights(), other.update.averaged_weights():
        assert_close(other.weights(), one.weights(), atol=1e-5)


# What models bring along.


@functools.cache
def regularized_loss(precision: str, amount: float) -> float:
    """The first loss of a model with an activity and a kernel regularizer."""

    def build(options: MlpOptions, precision: str) -> keras.Model:
        del options
        keras.utils.set_random_seed(0)
        image = keras.Input((6, 6, 1), dtype="uint8")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
        logits = keras.layers.Dense(
            NUM_CLASSES,
            dtype=precision,
            activity_regularizer=keras.regularizers.L2(amount),
            kernel_regularizer=keras.regularizers.L2(amount),
        )
        return keras.Model(image, logits(x))

    return Run(train=SGD, precision=precision, build=build).losses(1)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "precision",
    ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)],
)
def test_activity_regularizers_add_to_the_loss_in_any_precision(precision):
    exact = regularized_loss("float32", 0.5)
    assert regularized_loss(precision, 0.5) == pytest.approx(exact, rel=0.05)
    assert exact > regularized_loss("float32", 0.0) + 0.1
