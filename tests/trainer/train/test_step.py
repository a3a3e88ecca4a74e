"""The training step against NumPy, and against itself on other devices."""

import dataclasses
import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.devices import numpy_of
from tests.helpers.messages import refused
from tests.helpers.oracle import softmax
from tests.helpers.students import (
    ADAM,
    BATCH,
    IMAGE_SHAPE,
    NUM_CLASSES,
    SGD,
    Run,
    assert_same_and_moving,
    batch_norm_model,
    build_mlp,
    examples,
)
from trainer import soft_targets
from trainer.config import (
    ConfigError,
    MlpOptions,
    SgdOptions,
    TermConfig,
    TrainConfig,
)
from trainer.config.losses import LOSSES


@functools.cache
def reference(train: TrainConfig) -> tuple[list[float], list[np.ndarray]]:
    """Twenty steps on one device without XLA."""
    run = Run(train=train)
    return run.losses(20), run.weights()


@pytest.mark.parametrize(
    ("train", "num_replicas", "xla"),
    [
        (SGD, 2, False),
        *(
            pytest.param(*settings, marks=pytest.mark.slow)
            for settings in [
                (SGD, 1, True),
                (ADAM, 2, True),
            ]
        ),
    ],
)
def test_devices_and_xla_do_not_change_the_training(train, num_replicas, xla):
    losses, weights = reference(train)
    run = Run(train=train, num_replicas=num_replicas, xla=xla)
    np.testing.assert_allclose(run.losses(20), losses, rtol=1e-5)
    for actual, expected in zip(run.weights(), weights, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


ALL_TERMS = tuple(
    TermConfig(
        loss=name,
        options=row.options(),
        weight=0.5,
        temperature=2.0,  # at 4 some would hardly move
        standardize=standardize,
        warmup_steps=3,
    )
    for name, row in LOSSES.items()
    if not row.features
    for standardize in (False, True)
)


# Eighteen losses at once: at a high rate, or with correlations over few examples,
# rounding errors would grow.
GENTLE = dataclasses.replace(SGD, learning_rate=0.005, global_batch_size=24)
GROUP_SIZE = 6  # in a micro-batch of one replica of two


def run_terms(**settings) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    """Twenty steps with every loss, each on logits as they are and standardised."""
    train = settings.pop("train", GENTLE)
    run = Run(
        train=train,
        terms=ALL_TERMS,
        hard_weight=0.5,
        group_size=GROUP_SIZE,
        term_gradients=True,  # which add over replicas
        **settings,
    )
    names = [name for name in run.compiled.objective.metrics if "[" in name]
    found = [run.compiled.run(1) for _ in range(20)]
    measured = [step for step in found if "loss" in step]  # float16 may skip some
    return [{name: step[name] for name in ("loss", *names)} for step in measured], (
        run.weights()
    )


@functools.cache
def terms_reference():
    return run_terms()


@pytest.mark.parametrize(
    "settings",
    [
        {"num_replicas": 2, "train": dataclasses.replace(GENTLE, accumulate=2)},
        pytest.param({"num_replicas": 2, "xla": True}, marks=pytest.mark.slow),
    ],
    ids=lambda settings: ", ".join(settings),
)
def test_devices_and_micro_batches_change_no_loss(settings):
    assert_same_and_moving(run_terms(**settings), terms_reference())


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_every_loss_is_float32_in_mixed_precision(precision):
    (first, *_), _ = terms_reference()
    found, _ = run_terms(precision=precision)
    assert found[0] == pytest.approx(first, rel=0.05, abs=0.01)
    assert np.isfinite([*found[-1].values()]).all()


def wide(options: MlpOptions, precision: str = "float32") -> keras.Model:
    """With a kernel of 2**16 weights and more, no whole number of vectors."""
    return build_mlp(MlpOptions(hidden_sizes=(1825,)), precision=precision)


@pytest.mark.slow
@pytest.mark.parametrize("xla", [False, True])
def test_large_variables_move_alike_on_any_devices(xla):
    train = dataclasses.replace(ADAM, clip_norm=0.5, weight_decay=0.1, ema=0.9)
    one, two = (
        Run(train=train, build=wide, num_replicas=count, xla=xla) for count in (1, 2)
    )
    np.testing.assert_allclose(two.losses(5), one.losses(5), rtol=1e-5)
    for ours, expected in zip(two.weights(), one.weights(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("train", "build", "xla"),
    [
        (SGD, build_mlp, False),
        pytest.param(ADAM, wide, False, marks=pytest.mark.slow),
        pytest.param(ADAM, batch_norm_model, False, marks=pytest.mark.slow),
        pytest.param(SGD, batch_norm_model, True, marks=pytest.mark.slow),
    ],
)
def test_replicas_hold_the_same_variables_bit_for_bit(train, build, xla):
    run = Run(train=train, num_replicas=2, build=build, xla=xla)
    run.compiled.run(5)
    variables = [*run.student.variables, *itertools.chain(*run.update.state.values())]
    for variable in variables:
        first, second = (copy.numpy() for copy in variable.value.values)
        np.testing.assert_array_equal(first, second, err_msg=variable.path)


def test_batch_norm_keeps_the_mean_over_replicas_of_their_statistics():
    # One step of momentum 0.5 from the initial mean 0: half the batch mean; the mean of
    # two equal halves' means is the mean of all.
    run = Run(train=SGD, num_replicas=2, build=batch_norm_model, images=examples(BATCH))
    kernel, bias = (numpy_of(v) for v in run.student.layers[2].weights)
    run.compiled.run(1)
    inputs = examples(BATCH).inputs.reshape(BATCH, -1) / 255
    expected = (inputs @ kernel + bias).mean(axis=0) / 2
    moving_mean = numpy_of(run.student.layers[3].moving_mean)
    np.testing.assert_allclose(moving_mean, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("decay", "num_replicas"),
    [
        (0.0, 1),
        pytest.param(0.0, 2, marks=pytest.mark.slow),
        pytest.param(0.25, 1, marks=pytest.mark.slow),
        (0.25, 2),
    ],
)
def test_one_sgd_step_of_a_linear_student_is_the_textbook_gradient(num_replicas, decay):
    train = TrainConfig(
        global_batch_size=BATCH,
        steps=1,
        learning_rate=0.5,
        optimizer="sgd",
        optimizer_options=SgdOptions(momentum=0.0),
    )

    def linear(options: MlpOptions, precision: str = "float32") -> keras.Model:
        del options, precision
        keras.utils.set_random_seed(1)
        image = keras.Input(IMAGE_SHAPE, dtype="uint8")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
        regularizer = keras.regularizers.L2(decay) if decay else None
        dense = keras.layers.Dense(NUM_CLASSES, kernel_regularizer=regularizer)
        return keras.Model(image, dense(x))

    batch = examples(BATCH)  # one epoch is one batch, in some order
    alpha, temperature = 0.7, 3.0
    run = Run(
        train=train,
        num_replicas=num_replicas,
        build=linear,
        images=batch,
        alpha=alpha,
        temperature=temperature,
    )
    teacher_logits = np.array(run.teacher(batch.inputs, training=False), np.float64)
    kernel, bias = (w.astype(np.float64) for w in run.weights())
    inputs = batch.inputs.reshape(BATCH, -1) / 255.0
    logits = inputs @ kernel + bias

    # d(T^2 KL)/d(logits) = T (softmax(s / T) - softmax(t / T)).
    soft = temperature * (
        softmax(logits / temperature) - softmax(teacher_logits / temperature)
    )
    hard = softmax(logits) - np.eye(NUM_CLASSES)[batch.labels]
    slope = (alpha * soft + (1 - alpha) * hard) / BATCH
    run.compiled.run(1)
    new_kernel, new_bias = run.weights()
    kernel_slope = inputs.T @ slope + 2 * decay * kernel
    np.testing.assert_allclose(new_kernel, kernel - 0.5 * kernel_slope, atol=1e-6)
    np.testing.assert_allclose(new_bias, bias - 0.5 * slope.sum(axis=0), atol=1e-6)


def test_metrics_are_means_over_all_examples_of_all_steps():
    run = Run(train=SGD, num_replicas=2, options=MlpOptions(hidden_sizes=(8,)))
    together = Run(train=SGD, num_replicas=2, options=MlpOptions(hidden_sizes=(8,)))
    single = [run.compiled.run(1) for _ in range(4)]
    whole = together.compiled.run(4)
    assert whole.keys() == {
        "loss",
        "soft_loss",
        "hard_loss",
        "accuracy",
        "agreement",
        "gradient_norm",
        "stop",
    }
    for name, value in whole.items():
        mean = np.mean([metrics[name] for metrics in single])
        np.testing.assert_allclose(value, mean, rtol=1e-6)
    np.testing.assert_allclose(
        whole["loss"], 0.7 * whole["soft_loss"] + 0.3 * whole["hard_loss"], rtol=1e-6
    )


def test_alpha_zero_trains_as_without_a_teacher():
    distilled = Run(train=SGD, alpha=0.0)
    alone = Run(train=SGD, distil=False)
    assert distilled.losses(5) == pytest.approx(alone.losses(5), rel=1e-6)


@pytest.mark.parametrize(
    ("build", "xla"),
    [
        (build_mlp, False),
        pytest.param(batch_norm_model, True, marks=pytest.mark.slow),
    ],
)
def test_the_teacher_is_bit_identical_after_training(build, xla):
    run = Run(train=ADAM, num_replicas=2, build_teacher=build, xla=xla)
    before = [numpy_of(v) for v in run.teacher.variables]
    run.compiled.run(10)
    for variable, value in zip(run.teacher.variables, before, strict=True):
        np.testing.assert_array_equal(numpy_of(variable), value)


def test_the_teacher_has_no_slots_in_the_optimizer():
    run = Run(train=ADAM)
    slots = {v.shape for v in run.update.state["optimizer"]}
    assert run.teacher.variables[0].shape not in slots


def test_the_teacher_answers_without_dropout():
    run = Run(train=SGD)
    batch = {"input": tf.constant(examples(4).inputs)}
    signal = soft_targets.online(run.teacher)
    expected = run.teacher(batch["input"], training=False)
    np.testing.assert_array_equal(signal(batch).at(1.0).logits, expected)


@pytest.fixture(scope="module")
def stepped():
    """Runs by the number of replicas, after 13 steps, past the end of an epoch."""

    @functools.cache
    def run_of(num_replicas: int) -> Run:
        run = Run(train=SGD, num_replicas=num_replicas)
        for num_steps in (1, 3, 2, 7):
            run.compiled.run(num_steps)
        return run

    return run_of


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_each_replica_traces_the_core_once(stepped, num_replicas):
    run = stepped(num_replicas)
    assert run.compiled.compute.experimental_get_tracing_count() == num_replicas
    assert run.compiled.multi_step.experimental_get_tracing_count() == 1


def test_max_norm_bounds_every_unit_after_each_step():
    train = TrainConfig(
        global_batch_size=BATCH,
        steps=5,
        learning_rate=5.0,
        optimizer="sgd",
        optimizer_options=SgdOptions(momentum=0.0),
    )
    bounded = Run(train=train, options=MlpOptions(hidden_sizes=(8,), max_norm=0.6))
    free = Run(train=train, options=MlpOptions(hidden_sizes=(8,)))
    # One step on unbounded weights, then NumPy's projection.
    free.compiled.run(1)
    bounded.compiled.run(1)
    kernel = free.weights()[0]
    norms = np.sqrt(np.square(kernel).sum(axis=0))
    assert norms.max() > 0.6
    expected = kernel * np.minimum(1, 0.6 / norms)
    np.testing.assert_allclose(bounded.weights()[0], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(bounded.weights()[2], free.weights()[2])


def test_steps_are_counted_once_whatever_the_replicas(stepped):
    iterations = stepped(2).update.iterations
    assert [int(copy) for copy in iterations.value.values] == [13, 13]


@pytest.mark.slow
def test_bfloat16_trains_float32_variables_near_the_float32_run():
    options = MlpOptions(hidden_sizes=(16,))
    exact = Run(train=SGD, options=options)
    half = Run(train=SGD, options=options, precision="mixed_bfloat16")
    assert {v.dtype for v in half.student.variables} == {"float32"}
    # bfloat16 has 8 significant bits: 2**-8 = 0.4 % a rounding.
    np.testing.assert_allclose(half.losses(10), exact.losses(10), rtol=0.05)


def test_a_variable_that_does_not_reach_the_logits_is_refused():
    def with_unused(options: MlpOptions, precision: str = "float32") -> keras.Model:
        model = build_mlp(options, precision=precision)
        model.unused = model.add_weight(name="unused", shape=(2,))
        return model

    run = Run(train=SGD, build=with_unused)
    with refused(ConfigError, "unused"):
        run.compiled.run(1)


def test_replicas_meet_in_one_collective_a_step(stepped):
    traced = stepped(2).compiled.multi_step.get_concrete_function(tf.constant(1))
    step_graph = traced.graph.as_graph_def()
    collectives = [
        node.op
        for function in step_graph.library.function
        for node in function.node_def
        if "Collective" in node.op and "Assign" not in node.op
    ]
    assert collectives == ["CollectiveReduceV2"] * 2  # one on each replica


@pytest.mark.parametrize("num_replicas", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_wish_to_stop_is_told_by_the_next_steps_and_changes_nothing_else(
    num_replicas,
):
    asked, not_asked = (Run(train=ADAM, num_replicas=num_replicas) for _ in range(2))
    assert asked.compiled.run(2)["stop"] == 0
    asked.stop.assign(1.0)
    assert asked.compiled.run(2)["stop"] > 0
    not_asked.compiled.run(4)
    for ours, theirs in zip(asked.weights(), not_asked.weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
