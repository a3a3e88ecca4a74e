"""Terms of the loss: weights, schedules, ensembles, labels, groups and a user's own.

The formulas of tests/helpers/loss_oracle.py are NumPy in float64.
"""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.loss_oracle import ORACLES
from tests.helpers.messages import refused
from tests.helpers.oracle import softmax
from tests.helpers.students import built_terms
from trainer import losses
from trainer.config import ConfigError, TermConfig
from trainer.config.losses import LOSSES, NoLossOptions
from trainer.train.distillation_loss import DistillationLoss
from trainer.train.feature_loss import StudentOutputs
from trainer.train.own_loss import check_own_loss

NUM_CLASSES, COUNT = 6, 8
STEP = tf.constant(0)
OF_LOGITS = [name for name, row in LOSSES.items() if not row.features]


def drawn(seed=0, count=COUNT, num_classes=NUM_CLASSES):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 2, (count, num_classes))


STUDENT, TEACHER, OTHER = drawn(1), drawn(2), drawn(3)
LABELS = np.random.default_rng(4).integers(NUM_CLASSES, size=COUNT)


def term(loss: str, **settings) -> TermConfig:
    options = settings.pop("options", None)
    if options is None:
        options = LOSSES[loss].options() if loss in LOSSES else {}
    return TermConfig(loss=loss, options=options, **settings)


def predictions(*members, weights=(1.0,)):
    return losses.TeacherPredictions(
        members=[
            losses.Member(
                at=lambda temperature, logits=logits: losses.SoftTargets(
                    logits=tf.constant(logits, tf.float32)
                )
            )
            for logits in members
        ],
        weights=weights,
    )


def values(config, *members, weights=(1.0,), labels=LABELS, group_size=4, step=STEP):
    (built,) = built_terms([config], group_size=group_size)
    return built.run(
        StudentOutputs(logits=tf.constant(STUDENT, tf.float32)),
        predictions(*members, weights=weights),
        tf.constant(labels, tf.int32),
        step,
    ).numpy()


def standardized(logits):
    centered = logits - logits.mean(axis=1, keepdims=True)
    return centered / (logits.std(axis=1, ddof=1, keepdims=True) + 1e-7)


def kl(student, teacher, temperature):
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    return temperature**2 * (p * np.log(p / q)).sum(axis=1)


def test_the_table_of_losses_is_that_of_the_package():
    for name, row in LOSSES.items():
        module, _, function = row.function.partition(":")
        assert module == "trainer.losses", name
        assert function in losses.__all__
        if name in OF_LOGITS:
            assert values(term(name), TEACHER).shape == (COUNT,)


@pytest.mark.parametrize("name", OF_LOGITS)
def test_a_term_gives_its_loss_what_it_needs(name):
    config = term(name, temperature=3.0)
    options = vars(config.options) | {"temperature": 3.0}
    if LOSSES[name].needs_groups:
        options["group_size"] = 4
    if name in ("hard_targets", "logit_mse"):
        del options["temperature"]
    function = LOSSES[name].function.partition(":")[2]
    expected = ORACLES[function](STUDENT, TEACHER, LABELS, **options)
    np.testing.assert_allclose(values(config, TEACHER), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["kl", "logit_mse"])
def test_standardised_logits_of_both_models_are_compared(name):
    config = term(name, standardize=True, temperature=2.0)
    student, teacher = standardized(STUDENT), standardized(TEACHER)
    expected = kl(student, teacher, 2.0)
    if name == "logit_mse":
        expected = ((student - teacher) ** 2).mean(axis=1)
    np.testing.assert_allclose(values(config, TEACHER), expected, rtol=1e-5)
    # Neither scale nor offset counts.
    np.testing.assert_allclose(
        values(config, 7 * TEACHER + 3), values(config, TEACHER), rtol=1e-4
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("standardize", [False, True])
def test_an_ensemble_is_averaged_at_the_terms_temperature(temperature, standardize):
    config = term("kl", temperature=temperature, standardize=standardize)
    change = standardized if standardize else lambda logits: logits
    members = [softmax(change(x), temperature) for x in (TEACHER, OTHER)]
    teacher = temperature * np.log(np.average(members, axis=0, weights=(1, 3)))
    expected = kl(change(STUDENT), teacher, temperature)
    found = values(config, TEACHER, OTHER, weights=(1.0, 3.0))
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_two_terms_average_an_ensemble_each_at_its_own_temperature():
    both = [term("kl", temperature=1.0), term("reverse_kl", temperature=4.0)]
    one, other = (values(t, TEACHER, OTHER, weights=(1.0, 3.0)) for t in both)
    loss = DistillationLoss(
        terms=built_terms(both), hard_weight=0.5, label_smoothing=0.0
    )
    parts = loss.parts(
        StudentOutputs(logits=tf.constant(STUDENT, tf.float32)),
        predictions(TEACHER, OTHER, weights=(1.0, 3.0)),
        losses.Labels(own=tf.constant(LABELS)),
        STEP,
    )
    np.testing.assert_array_equal(parts[0], one)
    np.testing.assert_array_equal(parts[1], other)


def test_logit_mse_takes_the_average_of_centred_logits():
    def center(logits):
        return logits - logits.mean(axis=1, keepdims=True)

    teacher = np.average([center(TEACHER), center(OTHER)], axis=0, weights=(1, 3))
    found = values(term("logit_mse"), TEACHER + 50, OTHER - 20, weights=(1.0, 3.0))
    expected = ((center(STUDENT) - teacher) ** 2).mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_hard_targets_are_the_class_of_the_averaged_probabilities():
    # Each member is unsure between two; only together they know which.
    one = np.log([[0.5, 0.45, 0.05]] * COUNT)
    other = np.log([[0.05, 0.45, 0.5]] * COUNT)
    targets = predictions(one, other, weights=(1.0, 1.0))
    (built,) = built_terms([term("hard_targets", temperature=1.0)])
    student = tf.constant(STUDENT[:, :3], tf.float32)
    found = built.run(
        StudentOutputs(logits=student), targets, tf.constant(LABELS), STEP
    )
    expected = -np.log(softmax(STUDENT[:, :3])[:, 1])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", OF_LOGITS)
def test_what_needs_a_label_is_0_without_one(name):
    labels = np.where(np.arange(COUNT) % 2, LABELS, -1)
    found, all_labeled = (
        values(term(name), TEACHER, labels=x) for x in (labels, LABELS)
    )
    if LOSSES[name].needs_labels:
        all_labeled[::2] = 0
    np.testing.assert_array_equal(found, all_labeled)


def test_the_loss_is_the_weighted_sum_of_its_parts():
    configs = [term("kl", weight=0.25), term("dkd", weight=2.0)]
    loss = DistillationLoss(
        terms=built_terms(configs), hard_weight=0.5, label_smoothing=0.0
    )
    parts = [tf.constant([1.0, 2.0]), tf.constant([3.0, 5.0]), tf.constant([7.0, 11.0])]
    np.testing.assert_allclose(loss.total(parts, STEP), [9.75, 16.0], rtol=1e-6)


def schedule(config, quantity, steps, **training):
    (built,) = built_terms([config], **training)
    found = [getattr(built, quantity)(tf.constant(step)) for step in steps]
    return [float(value) for value in found]


def test_weights_and_temperatures_follow_their_schedules():
    steps = [0, 5, 10]
    linear = term(
        "kl",
        weight=2.0,
        final_weight=0.0,
        temperature=1.0,
        final_temperature=5.0,
        schedule="linear",
    )
    found = schedule(linear, "weight", steps, num_steps=11)
    np.testing.assert_allclose(found, [2.0, 1.0, 0.0], atol=1e-6)
    found = schedule(linear, "temperature", steps, num_steps=11)
    np.testing.assert_allclose(found, [1.0, 3.0, 5.0], rtol=1e-6)
    cosine = term("kl", weight=2.0, final_weight=0.0, schedule="cosine")
    found = schedule(cosine, "weight", [0, 2, 5, 10], num_steps=11)
    expected = [1 + math.cos(math.pi * x) for x in (0, 0.2, 0.5, 1)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert schedule(cosine, "temperature", steps, num_steps=11) == [4.0] * 3


@pytest.mark.parametrize(
    "warmup", [{"warmup_steps": 4}, {"warmup_epochs": 0.4}], ids=str
)
def test_a_weight_rises_over_its_warm_up(warmup):
    found = schedule(term("kl", weight=10.0, **warmup), "weight", range(7))
    np.testing.assert_allclose(found, [2, 4, 6, 8, 10, 10, 10], rtol=1e-6)


@pytest.mark.parametrize(
    "warmup", [{"warmup_steps": 20}, {"warmup_epochs": 2.0}], ids=str
)
def test_a_warm_up_as_long_as_the_training_is_refused(warmup):
    (name, value), *_ = warmup.items()
    with refused(ConfigError, f"distill.terms[0].{name}", 20, value):
        built_terms([term("kl", **warmup)], num_steps=20)


def own(name: str, **settings) -> TermConfig:
    return term(f"{__name__}:{name}", **settings)


def squares(student_logits, teacher_logits, *, temperature, power=2.0):
    distance = tf.abs(student_logits - teacher_logits) / temperature
    return tf.reduce_mean(distance**power, axis=-1)


def of_the_label(student_logits, teacher_logits, labels):
    del teacher_logits
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, student_logits)


def summed(student_logits, teacher_logits):
    return tf.reduce_sum(tf.square(student_logits - teacher_logits))


def centered_in_the_batch(student_logits, teacher_logits):
    difference = student_logits - teacher_logits
    difference -= tf.reduce_mean(difference, axis=0, keepdims=True)
    return tf.reduce_mean(tf.square(difference), axis=-1)


def centered_in_groups(student_logits, teacher_logits, *, group_size):
    difference = student_logits - teacher_logits
    groups = tf.reshape(difference, [-1, group_size, difference.shape[-1]])
    groups -= tf.reduce_mean(groups, axis=1, keepdims=True)
    return tf.reduce_mean(tf.square(tf.reshape(groups, difference.shape)), axis=-1)


def roots(student_logits, teacher_logits):
    return tf.reduce_sum(tf.sqrt(student_logits - teacher_logits), axis=-1)


def of_the_teacher_alone(student_logits, teacher_logits):
    del student_logits
    return tf.reduce_sum(teacher_logits, axis=-1)


def check(name: str, *, group_size: int = 0, num_teachers: int = 1, **settings) -> None:
    config = own(name, **settings)
    (built,) = built_terms([config], group_size=group_size)
    check_own_loss(
        built,
        name=config.loss,
        setting="distill.terms[0].loss",
        num_teachers=num_teachers,
        num_classes=NUM_CLASSES,
        group_size=group_size,
    )


def test_a_users_own_loss_is_given_its_options_and_the_temperature():
    config = own("squares", temperature=2.0, options={"power": 3.0})
    expected = (np.abs(STUDENT - TEACHER) ** 3).mean(axis=1) / 8
    np.testing.assert_allclose(values(config, TEACHER), expected, rtol=1e-5)
    check("squares", options={"power": 3.0})


def test_a_users_own_loss_is_given_labels_where_it_takes_them():
    labels = np.where(np.arange(COUNT) % 2, LABELS, -1)
    expected = -np.log(softmax(STUDENT)[np.arange(COUNT), LABELS])
    found = values(own("of_the_label"), TEACHER, labels=np.maximum(labels, 0))
    np.testing.assert_allclose(found[1::2], expected[1::2], rtol=1e-5)
    check("of_the_label")


def test_a_term_of_one_member_leaves_the_others_out():
    found = values(term("kl", teacher="members[1]"), TEACHER, OTHER, weights=(1.0, 3.0))
    np.testing.assert_array_equal(found, values(term("kl"), OTHER))
    config = own("squares", teacher="members[1]", options={"power": 3.0})
    found = values(config, TEACHER, OTHER, weights=(1.0, 3.0))
    expected = (np.abs(STUDENT - OTHER) ** 3).mean(axis=1) / 64
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    check("squares", teacher="members[1]", options={"power": 3.0}, num_teachers=2)


def test_a_users_own_loss_in_groups_is_taken():
    check("centered_in_groups", group_size=4)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("summed", ("[16]", "[]")),
        ("centered_in_the_batch", ("group_size", 16)),
        ("roots", ("finite",)),
        ("of_the_teacher_alone", ("gradient",)),
        ("squares", ("power", "wrong")),
    ],
)
def test_a_users_own_loss_that_computes_nonsense_is_refused(name, facts):
    options = {"power": "wrong"} if name == "squares" else {}
    facts = facts if name != "squares" else ("[16, 6]",)
    with refused(ConfigError, "distill.terms[0].loss", f"{__name__}:{name}", *facts):
        check(name, options=options)


def test_a_loss_between_examples_needs_a_group_size():
    with refused(ConfigError, "distill.terms[0].loss", "distill.group_size = 0"):
        check("centered_in_groups")


def test_a_function_that_is_not_there_is_refused():
    with refused(ConfigError, "distill.terms[0].loss", "no_such_loss"):
        built_terms([own("no_such_loss")])


def test_gradient_norms_are_those_of_the_weighted_parts():
    configs = [term("kl", weight=3.0, temperature=1.0), term("dist", weight=0.5)]
    loss = DistillationLoss(
        terms=built_terms(configs, group_size=4), hard_weight=2.0, label_smoothing=0.0
    )
    norms = loss.gradient_norms(
        StudentOutputs(logits=tf.constant(STUDENT, tf.float32)),
        predictions(TEACHER),
        losses.Labels(own=tf.constant(LABELS)),
        STEP,
    )
    probs = softmax(STUDENT)
    # At T = 1 the gradient of KL is the difference of the probabilities.
    expected = 3 * np.linalg.norm(probs - softmax(TEACHER), axis=1)
    np.testing.assert_allclose(norms[0], expected, rtol=1e-4)
    one_hot = np.eye(NUM_CLASSES)[LABELS]
    expected = 2 * np.linalg.norm(probs - one_hot, axis=1)
    np.testing.assert_allclose(norms[2], expected, rtol=1e-4)
    assert (norms[1].numpy() > 0).all()


def test_no_options_are_those_of_a_loss_without_any():
    assert LOSSES["kl"].options is NoLossOptions
