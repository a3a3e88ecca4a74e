"""Schedules against literals, update rules against NumPy in float64."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.messages import refused
from trainer import optimizers
from trainer.config import (
    AdamOptions,
    ConfigError,
    ConstantOptions,
    CosineOptions,
    SgdOptions,
    StepOptions,
    TrainConfig,
)

SECTION = "student.train"


def schedule_of(
    name: str, options: object, *, num_steps: int, learning_rate: float = 1.0
) -> optimizers.Schedule:
    train = TrainConfig(
        global_batch_size=8,
        steps=num_steps,
        learning_rate=learning_rate,
        schedule=name,
        schedule_options=options,
    )
    return optimizers.schedule(train, num_steps=num_steps, setting=SECTION)


def rates(schedule: optimizers.Schedule, *steps: int) -> list[float]:
    return [float(schedule(tf.constant(step, tf.int64))) for step in steps]


def test_a_constant_rate_is_the_peak_at_every_step():
    schedule = schedule_of(
        "constant", ConstantOptions(), num_steps=1000, learning_rate=0.3
    )
    assert rates(schedule, 0, 1, 500, 999) == pytest.approx([0.3] * 4)


def test_a_cosine_falls_from_the_peak_through_half_to_zero():
    schedule = schedule_of("cosine", CosineOptions(), num_steps=100, learning_rate=0.5)
    # 0.5 * (1 + cos(pi / 4)) / 2 = 0.42677670
    expected = [0.5, 0.42677670, 0.25, 0.07322330, 0.0]
    assert rates(schedule, 0, 25, 50, 75, 100) == pytest.approx(expected, abs=1e-7)


def test_the_last_update_of_a_cosine_is_one_step_short_of_its_end():
    schedule = schedule_of("cosine", CosineOptions(), num_steps=4)
    # (1 + cos(3 pi / 4)) / 2
    assert rates(schedule, 3) == pytest.approx([0.14644661])


def test_a_cosine_ends_at_its_final_fraction_of_the_peak():
    options = CosineOptions(final_fraction=0.1)
    schedule = schedule_of("cosine", options, num_steps=100, learning_rate=0.5)
    expected = [0.5, 0.275, 0.05]
    assert rates(schedule, 0, 50, 100) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("constant", ConstantOptions(warmup_steps=4)),
        ("cosine", CosineOptions(warmup_steps=4)),
    ],
)
def test_a_warm_up_rises_by_equal_parts_from_the_first_update_to_the_peak(
    name, options
):
    schedule = schedule_of(name, options, num_steps=104, learning_rate=0.5)
    expected = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert rates(schedule, 0, 1, 2, 3, 4) == pytest.approx(expected, rel=1e-6)


def test_a_constant_rate_stays_at_the_peak_after_the_warm_up():
    schedule = schedule_of("constant", ConstantOptions(warmup_steps=4), num_steps=104)
    assert rates(schedule, 5, 54, 103) == pytest.approx([1.0] * 3)


def test_a_cosine_takes_all_steps_after_the_warm_up():
    schedule = schedule_of("cosine", CosineOptions(warmup_steps=4), num_steps=104)
    expected = [0.85355339, 0.5, 0.0]
    assert rates(schedule, 29, 54, 104) == pytest.approx(expected, abs=1e-7)


def test_steps_multiply_the_rate_at_shares_of_the_training():
    options = StepOptions(milestones=(0.5, 0.8), factor=0.1)
    schedule = schedule_of("step", options, num_steps=100, learning_rate=0.5)
    expected = [0.5, 0.5, 0.05, 0.05, 0.005, 0.005]
    assert rates(schedule, 0, 49, 50, 79, 80, 99) == pytest.approx(expected)


def test_steps_count_from_the_end_of_the_warm_up():
    options = StepOptions(milestones=(0.5,), factor=0.2, warmup_steps=20)
    schedule = schedule_of("step", options, num_steps=100, learning_rate=1.0)
    assert rates(schedule, 59, 60) == pytest.approx([1.0, 0.2])


@pytest.mark.parametrize("warmup_steps", [10, 11])
def test_a_warm_up_as_long_as_the_training_is_refused(warmup_steps):
    options = ConstantOptions(warmup_steps=warmup_steps)
    setting = "student.train.schedule_options.warmup_steps"
    with refused(ConfigError, setting, "10 steps", warmup_steps):
        schedule_of("constant", options, num_steps=10)


def test_a_warm_up_may_leave_one_step():
    schedule = schedule_of("cosine", CosineOptions(warmup_steps=9), num_steps=10)
    assert rates(schedule, 8, 9) == pytest.approx([0.9, 1.0])


def test_a_schedule_is_the_same_in_a_graph():
    schedule = schedule_of("cosine", CosineOptions(warmup_steps=3), num_steps=20)
    steps = list(range(20))
    compiled = tf.function(schedule, jit_compile=True, autograph=False)
    assert rates(compiled, *steps) == pytest.approx(rates(schedule, *steps), rel=1e-6)


# Update rules.

LEARNING_RATES = [0.1, 0.5, 0.02, 0.3, 0.004, 0.2]

Rule = Callable[[np.ndarray, list[np.ndarray]], np.ndarray]


def sgd(weights: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    for gradient, rate in zip(gradients, LEARNING_RATES, strict=True):
        weights = weights - rate * gradient
    return weights


def momentum(weights: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    velocity = np.zeros_like(weights)
    for gradient, rate in zip(gradients, LEARNING_RATES, strict=True):
        velocity = 0.8 * velocity - rate * gradient
        weights = weights + velocity
    return weights


def nesterov(weights: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    velocity = np.zeros_like(weights)
    for gradient, rate in zip(gradients, LEARNING_RATES, strict=True):
        velocity = 0.8 * velocity - rate * gradient
        weights = weights + 0.8 * velocity - rate * gradient
    return weights


def adam(weights: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    """Kingma and Ba, 2015, in the form before their section 2.1 for epsilon."""
    beta_1, beta_2, epsilon = 0.7, 0.95, 1e-2
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for t, (gradient, rate) in enumerate(
        zip(gradients, LEARNING_RATES, strict=True), start=1
    ):
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient**2
        rate = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        weights = weights - rate * mean / (np.sqrt(square) + epsilon)
    return weights


RULES: dict[str, tuple[str, object, Rule]] = {
    "sgd": ("sgd", SgdOptions(momentum=0.0), sgd),
    "momentum": ("sgd", SgdOptions(momentum=0.8), momentum),
    "nesterov": ("sgd", SgdOptions(momentum=0.8, nesterov=True), nesterov),
    "adam": ("adam", AdamOptions(beta_1=0.7, beta_2=0.95, epsilon=1e-2), adam),
}


def optimizer_of(name: str, options: object) -> keras.optimizers.Optimizer:
    return optimizers.build_optimizer(
        TrainConfig(
            global_batch_size=8, steps=6, optimizer=name, optimizer_options=options
        )
    )


@pytest.mark.parametrize(
    ("rule", "shape"),
    # Of Adam a large variable too, which it moves by one operation.
    [*((rule, (3, 4)) for rule in RULES), ("adam", (256, 257))],
)
def test_updates_with_changing_rates_are_numpys(rule, shape):
    name, options, reference = RULES[rule]
    rng = np.random.default_rng(2)
    initial = rng.normal(size=shape).astype(np.float32)
    # Of very different sizes, so that clipping would show.
    scales = [1.0, 100.0, 0.01, 1.0, 10.0, 0.1]
    gradients = [
        (scale * rng.normal(size=shape)).astype(np.float32) for scale in scales
    ]
    variable = keras.Variable(initial)
    optimizer = optimizer_of(name, options)
    optimizer.build([variable])
    for gradient, rate in zip(gradients, LEARNING_RATES, strict=True):
        optimizer.update_step(tf.constant(gradient), variable, tf.constant(rate))
        optimizer.iterations.assign_add(1)
    expected = reference(
        initial.astype(np.float64), [g.astype(np.float64) for g in gradients]
    )
    np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["beta_1", "beta_2", "epsilon"])
def test_adam_defaults_are_those_of_keras(name):
    optimizer = optimizer_of("adam", AdamOptions())
    assert getattr(optimizer, name) == getattr(keras.optimizers.Adam(), name)
