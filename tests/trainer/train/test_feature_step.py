"""The step with losses between layers: against NumPy, and itself on other devices."""

import contextlib
import dataclasses
import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.devices import numpy_of
from tests.helpers.feature_loss_oracle import ORACLES, pool
from tests.helpers.oracle import softmax
from tests.helpers.students import (
    BATCH,
    IMAGE_SHAPE,
    NUM_CLASSES,
    SEED,
    SGD,
    Run,
    assert_same_and_moving,
    connected,
    examples,
)
from trainer import data
from trainer.config import (
    DistillConfig,
    MlpOptions,
    SgdOptions,
    TermConfig,
    TrainConfig,
)
from trainer.config.losses import LOSSES
from trainer.data.mixing import mix
from trainer.evaluation.predictor import predictor

layers = keras.layers


class Counted(layers.Layer):
    """Counts how often it is called, which is how often the model is traced."""

    def __init__(self, **more) -> None:
        super().__init__(**more)
        self.calls = 0

    def call(self, x):
        self.calls += 1
        return x


def network(*made) -> keras.Model:
    x = image = keras.Input(IMAGE_SHAPE, dtype="uint8")
    for layer in made:
        x = layer(x)
    return keras.Model(image, x)


def small(
    options: MlpOptions, seed: int = 1, precision: str = "float32", *more
) -> keras.Model:
    """Maps of 6 x 6 x 3 and 2 x 2 x 4, and vectors of 6."""
    del options
    keras.utils.set_random_seed(seed)
    return network(
        layers.Rescaling(1 / 255, dtype=precision),
        Counted(name="counted", dtype=precision),
        layers.Conv2D(3, 3, padding="same", name="a", dtype=precision),
        *more,
        layers.ReLU(dtype=precision),
        layers.Conv2D(4, 3, strides=2, activation="relu", name="b", dtype=precision),
        layers.Flatten(),
        layers.Dense(6, activation="relu", name="hidden", dtype=precision),
        layers.Dense(NUM_CLASSES, name="last", dtype=precision),
    )


def large(
    options: MlpOptions, seed: int = 0, precision: str = "float32"
) -> keras.Model:
    """Maps of 4 x 4 x 5 and 3 x 3 x 7, and vectors of 8."""
    del options, precision
    keras.utils.set_random_seed(seed)
    return network(
        layers.Rescaling(1 / 255),
        Counted(name="counted"),
        layers.Conv2D(5, 3, activation="relu", name="a"),
        layers.Conv2D(7, 2, activation="relu", name="b"),
        layers.Flatten(),
        layers.Dense(8, activation="relu", name="hidden"),
        layers.Dense(NUM_CLASSES, name="last"),
    )


def with_batch_norm(
    options: MlpOptions, seed: int = 1, precision: str = "float32"
) -> keras.Model:
    norm = layers.BatchNormalization(momentum=0.5, name="norm", dtype=precision)
    return small(options, seed, precision, norm)


def term(loss: str, student, teacher, **settings) -> TermConfig:
    settings = {"options": LOSSES[loss].options(), "weight": 0.5} | settings
    return TermConfig(
        loss=loss, student_layer=student, teacher_layer=teacher, **settings
    )


# Every loss between layers, of maps, vectors and both; the second of several pairs.
TERMS = (
    term("hint", ("a", "b", "hidden"), ("a", "b", "b")),
    term("attention", ("a", "b"), ("a", "b")),
    term("similarity", "b", "embedding"),
    term("rkd", "embedding", "embedding", weight=0.02),
    term("pkt", "b", "hidden", weight=20.0),
    term("contrastive", "embedding", "b"),
    term("vid", "a", "b", weight=10.0, warmup_steps=3),
    term("cosine", "b", "b", schedule="linear", final_weight=0.1),
    term("srrl", "hidden", "embedding"),
    TermConfig(loss="kl", options=LOSSES["kl"].options(), weight=0.5, temperature=2.0),
)


def test_every_loss_between_layers_is_among_the_terms():
    compared = {term.loss for term in TERMS if term.is_of_features}
    assert compared == {name for name, row in LOSSES.items() if row.features}


GENTLE = dataclasses.replace(SGD, learning_rate=0.01, global_batch_size=24)
GROUP_SIZE = 6  # in a micro-batch of one replica of two


def made(**settings) -> Run:
    return Run(
        **{
            "train": GENTLE,
            "terms": TERMS,
            "hard_weight": 0.5,
            "group_size": GROUP_SIZE,
            "build": small,
            "build_teacher": large,
        }
        | settings
    )


def run_terms(**settings) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    """Twenty steps with every loss between layers, and one of logits.

    A step that float16 skipped has no metrics.
    """
    run = made(term_gradients=True, **settings)
    names = [name for name in run.compiled.objective.metrics if "[" in name]
    found = [run.compiled.run(1) for _ in range(20)]
    return [
        {name: step[name] for name in ("loss", *names) if name in step}
        for step in found
    ], run.weights()


def measured(run: Run, images: data.ArrayExamples) -> dict[str, float]:
    """The metrics of one batch, before any step."""
    objective, count = run.compiled.objective, len(images)
    batch = {
        "input": tf.constant(images.inputs),
        "label": tf.constant(images.labels, tf.int32),
        "batch_position": tf.range(count),
    }
    _, sums = objective.run(batch, tf.constant(0), tf.constant(1.0))
    return dict(zip(objective.metrics, sums.numpy() / count, strict=True))


@functools.cache
def reference():
    return run_terms()


@pytest.fixture(scope="module")
def whole():
    """All terms between a student and a teacher, and their losses before a step."""
    run, images = made(), examples(24)
    return run, images, measured(run, images)


def inside(model: keras.Model, layer: str, images: np.ndarray) -> np.ndarray:
    """What a layer gives, by a network that ends there."""
    end = model.get_layer("last").input
    if layer != "embedding":
        end = model.get_layer(layer).output
    return np.asarray(keras.Model(model.input, end)(images), np.float64)


def brought_together(loss: str, ours, theirs):
    """The means over places, maps pooled to the fewer places, or all as it is."""
    if loss == "similarity":
        return ours, theirs
    is_of_vectors = loss in ("rkd", "pkt", "contrastive", "srrl")
    if is_of_vectors or 2 in (ours.ndim, theirs.ndim):
        return [x.mean(axis=tuple(range(1, x.ndim - 1))) for x in (ours, theirs)]
    sizes = np.minimum(ours.shape[1:-1], theirs.shape[1:-1])
    return pool(ours, tuple(sizes)), pool(theirs, tuple(sizes))


@pytest.mark.parametrize("number", range(len(TERMS) - 1))
def test_a_term_is_the_formula_of_what_is_inside_both_models(whole, number):
    run, images, found = whole
    term = TERMS[number]
    pairs = zip(
        *(term.student_layers, term.teacher_layers, run.connections[number].adapters),
        strict=True,
    )
    expected = 0.0
    for student_layer, teacher_layer, adapter in pairs:
        ours, theirs = brought_together(
            term.loss,
            inside(run.student, student_layer, images.inputs),
            inside(run.teacher, teacher_layer, images.inputs),
        )
        more = []
        if adapter:
            kernel, bias = (numpy_of(v) for v in adapter.weights[-2:])
            ours = ours @ kernel.reshape(-1, len(bias)) + bias
        options = LOSSES[term.loss].arguments(term.options)
        if term.loss == "vid":
            options["variance"] = np.full(theirs.shape[-1], 5.0)
        if LOSSES[term.loss].needs_groups:
            options["group_size"] = GROUP_SIZE
        if term.loss == "srrl":
            kernel, bias = (numpy_of(v) for v in run.teacher.get_layer("last").weights)
            more = [x @ kernel + bias for x in (ours, theirs)]
        expected += ORACLES[f"{term.loss}_loss"](ours, theirs, *more, **options).mean()
    assert found[f"{term.loss}[{number}]"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"num_replicas": 2}, marks=pytest.mark.slow),
        pytest.param(
            {"train": dataclasses.replace(GENTLE, accumulate=4)}, marks=pytest.mark.slow
        ),
        pytest.param({"xla": True}, marks=pytest.mark.slow),
        # Programs of several steps, and of one.
        pytest.param({"xla": True, "steps_per_execution": 4}, marks=pytest.mark.slow),
        pytest.param(
            {
                "num_replicas": 2,
                "train": dataclasses.replace(GENTLE, accumulate=2),
                "xla": True,
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda settings: ", ".join(settings),
)
def test_devices_and_micro_batches_change_no_loss_and_no_adapter(settings):
    assert_same_and_moving(run_terms(**settings), reference())


@pytest.mark.slow
@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_every_loss_is_float32_in_mixed_precision(precision, xla):
    images = examples(24)
    exact, half = (
        measured(made(precision=kind, term_gradients=True), images)
        for kind in ("float32", precision)
    )
    for name in (name for name in exact if "loss" in name or "[" in name):
        assert half[name] == pytest.approx(exact[name], rel=0.05, abs=0.02), name
    found, weights = run_terms(precision=precision, xla=xla)
    steps = [step for step in found if step]
    assert len(steps) >= 18
    assert steps[-1]["loss"] < steps[3]["loss"]
    assert np.isfinite([*steps[-1].values()]).all()
    for value in weights:
        assert value.dtype == np.float32
        assert np.isfinite(value).all()


@pytest.mark.slow
@pytest.mark.parametrize("xla", [False, True])
def test_replicas_hold_the_same_variables_bit_for_bit(xla):
    terms = [
        dataclasses.replace(
            each, options=dataclasses.replace(each.options, batch_norm=True)
        )
        if each.loss in ("hint", "srrl")
        else each
        for each in TERMS
    ]
    run = made(
        num_replicas=2,
        xla=xla,
        terms=terms,
        build=with_batch_norm,
        train=dataclasses.replace(GENTLE, ema=0.9, clip_norm=1.0),
    )
    adapters = [v for adapter in run.adapters for v in adapter.variables]
    before = [numpy_of(v) for v in adapters]
    run.compiled.run(5)
    for variable, value in zip(adapters, before, strict=True):
        assert np.abs(numpy_of(variable) - value).max() > 0, variable.path
    state = itertools.chain(*run.update.state.values())
    for variable in [*run.student.variables, *adapters, *state]:
        first, second = (copy.numpy() for copy in variable.value.values)
        np.testing.assert_array_equal(first, second, err_msg=variable.path)


def num_ops(run: Run, op: str) -> int:
    """How many operations of a kind one step has."""
    graph = run.compiled.multi_step.get_concrete_function(tf.constant(1)).graph
    return sum(
        node.op == op
        for function in graph.as_graph_def().library.function
        for node in function.node_def
    )


@pytest.mark.parametrize("term_gradients", [False, True])
def test_each_model_is_called_once_a_step(term_gradients):
    terms = [t for t in TERMS if t.loss in ("hint", "similarity", "srrl", "kl")]
    run = made(terms=terms, term_gradients=term_gradients)
    counted = [model.get_layer("counted") for model in (run.student, run.teacher)]
    for layer in counted:
        layer.calls = 0
    run.compiled.run(2)
    assert [layer.calls for layer in counted] == [1, 1]
    # Two convolutions of each model, and the two that adapt maps, once more for the
    # norms of the gradients.
    adapters = 2 * (1 + term_gradients)
    assert num_ops(run, "Conv2D") == 2 + 2 + adapters


def test_without_terms_between_layers_the_step_is_as_before():
    of_logits, with_hint = (
        made(terms=terms, group_size=0) for terms in (TERMS[-1:], (TERMS[0], TERMS[-1]))
    )
    assert of_logits.adapters == []
    assert num_ops(of_logits, "Conv2D") == 2 + 2
    assert num_ops(with_hint, "Conv2D") > 4


def test_evaluating_and_looking_at_shapes_move_no_statistic():
    run = made(build=with_batch_norm, terms=TERMS[:1])
    norm = run.student.get_layer("norm")
    before = [v.numpy() for v in run.student.variables]
    connected(TERMS, run.student, run.teacher)
    predictor(
        run.student,
        examples(8),
        batch_size=4,
        stop=run.stop,
        strategy=run.strategy,
        watched=lambda what: contextlib.nullcontext(),
        xla=False,
    )()
    for variable, value in zip(run.student.variables, before, strict=True):
        np.testing.assert_array_equal(numpy_of(variable), value)
    run.compiled.run(1)
    moved = numpy_of(norm.moving_mean)
    assert np.abs(moved).max() > 0
    # And once in a step: half of the batch's mean, from 0.
    images = examples(BATCH)
    run = made(build=with_batch_norm, terms=TERMS[:1], images=images, train=SGD)
    expected = inside(run.student, "a", images.inputs).mean(axis=(0, 1, 2)) / 2
    run.compiled.run(1)
    moved = numpy_of(run.student.get_layer("norm").moving_mean)
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-6)


def linear(options: MlpOptions, seed: int = 1, precision: str = "float32"):
    del options, precision
    keras.utils.set_random_seed(seed)
    return network(
        layers.Rescaling(1 / 255),
        layers.Flatten(),
        layers.Dense(3, name="code"),
        layers.Dense(NUM_CLASSES, name="last"),
    )


@pytest.mark.parametrize(
    ("num_replicas", "clip_norm"), [(1, 0.0), (2, 0.05)], ids=["1", "2, clipped"]
)
def test_one_sgd_step_with_a_hint_is_the_textbook_gradient(num_replicas, clip_norm):
    train = TrainConfig(
        global_batch_size=BATCH,
        steps=1,
        learning_rate=0.5,
        optimizer="sgd",
        optimizer_options=SgdOptions(momentum=0.0),
        clip_norm=clip_norm,
        ema=0.9,
    )
    batch = examples(BATCH)  # one epoch is one batch, in some order
    weight, hard_weight = 2.0, 0.25
    run = Run(
        train=train,
        num_replicas=num_replicas,
        build=linear,
        build_teacher=large,
        images=batch,
        terms=[term("hint", "code", "hidden", weight=weight)],
        hard_weight=hard_weight,
        term_gradients=True,
    )
    target = inside(run.teacher, "hidden", batch.inputs)
    before = run.weights()
    kernel, bias, last, offset, adapter, shift = (w.astype(np.float64) for w in before)
    assert adapter.shape == (3, 8)
    inputs = batch.inputs.reshape(BATCH, -1) / 255.0
    code = inputs @ kernel + bias
    # d(mean of squares) / d(adapted code), and of the cross-entropy to the logits.
    error = code @ adapter + shift - target
    soft = weight * 2 * error / error.shape[1]
    probs = softmax(code @ last + offset)
    hard = hard_weight * (probs - np.eye(NUM_CLASSES)[batch.labels])
    slope = (soft @ adapter.T + hard @ last.T) / BATCH
    slopes = [
        *(inputs.T @ slope, slope.sum(axis=0)),
        *(code.T @ hard / BATCH, hard.mean(axis=0)),
        *(code.T @ soft / BATCH, soft.mean(axis=0)),
    ]
    norm = np.sqrt(sum(np.square(x).sum() for x in slopes))
    found = run.compiled.run(1)
    assert found["hint[0]"] == pytest.approx(np.square(error).mean(), rel=1e-5)
    assert found["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    # To the code that is compared, and to the logits.
    of_code = np.linalg.norm(soft @ adapter.T, axis=1).mean()
    assert found["hint[0]_gradient"] == pytest.approx(of_code, rel=1e-5)
    of_logits = np.linalg.norm(hard, axis=1).mean()
    assert found["hard_loss_gradient"] == pytest.approx(of_logits, rel=1e-5)
    if clip_norm:
        assert norm > clip_norm
        slopes = [x * clip_norm / norm for x in slopes]
    for old, new, x in zip(before, run.weights(), slopes, strict=True):
        np.testing.assert_allclose(new, old - 0.5 * x, atol=1e-6)
    # The first average keeps a tenth of what it was.
    with run.strategy.scope(), run.update.averaged_weights():
        for old, new, x in zip(before, run.weights(), slopes, strict=True):
            np.testing.assert_allclose(new, old - 0.9 * 0.5 * x, atol=1e-6)


@pytest.fixture(scope="module")
def hidden_run():
    return made(
        terms=[term("hint", "hidden", "hidden"), term("rkd", "embedding", "hidden")],
        group_size=4,
    )


def hint_of(run: Run, images: np.ndarray) -> float:
    """The loss between the hidden layers of both models for these images."""
    code, target = (inside(x, "hidden", images) for x in (run.student, run.teacher))
    kernel, bias = (numpy_of(v) for v in run.adapters[0].variables)
    return np.square(code @ kernel + bias - target).mean()


def test_examples_without_a_label_have_every_loss_between_layers(hidden_run):
    images = examples(12)
    labels = np.where(np.arange(12) % 3, -1, images.labels)
    some, every = (
        measured(hidden_run, dataclasses.replace(images, labels=given))
        for given in (labels, images.labels)
    )
    for name in ("hint[0]", "rkd[1]"):
        assert some[name] == every[name] > 0
    assert every["hint[0]"] == pytest.approx(
        hint_of(hidden_run, images.inputs), rel=1e-5
    )
    assert (some["labeled"], every["labeled"]) == (pytest.approx(1 / 3), 1)
    parts = 0.5 * (some["hint[0]"] + some["rkd[1]"] + some["hard_loss"])
    assert some["loss"] == pytest.approx(parts, rel=1e-6)


def test_mixed_images_are_compared_inside_both_models():
    mixing = DistillConfig(mixup=1.0)
    run = made(
        terms=[term("hint", "hidden", "hidden")],
        hard_weight=0.0,
        group_size=0,
        mixing=mixing,
    )
    images = examples(12)
    mixed, _ = mix(
        tf.constant(images.inputs),
        tf.range(12),
        tf.constant(0),
        mixing=mixing,
        seed=SEED,
    )
    found = measured(run, images)
    assert found["hint[0]"] == pytest.approx(hint_of(run, mixed), rel=1e-5)
    assert found["hint[0]"] != pytest.approx(hint_of(run, images.inputs), rel=1e-3)
