"""Losses on logits: published values, identities, gradients and edges.

The formulas of tests/helpers/loss_oracle.py are NumPy in float64.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import loss_oracle
from tests.helpers.loss_oracle import LABELED, ORACLES
from trainer import losses

STUDENT = np.array(
    [[1, 2, 0.5, -1], [0.2, -1, 3, 0], [0, 0, 1, 2], [2, -1, 0, 1.5]], np.float64
)
TEACHER = np.array(
    [[3, 1, -1, 0], [0, 0.5, 2, -2], [-1, 1, 0, 4], [1, 0, 2, -0.5]], np.float64
)
LABELS = np.array([0, 2, 3, 0])

# Each loss with the settings under which its paper uses it.
CASES = {
    "soft_loss": {"temperature": 4.0},
    "reverse_kl_loss": {"temperature": 2.0},
    "jensen_shannon_loss": {"temperature": 2.0, "beta": 0.3},
    "dkd_loss": {"temperature": 4.0, "target_weight": 1.0, "other_weight": 8.0},
    "dist_loss": {
        "temperature": 2.0,
        "example_weight": 1.0,
        "class_weight": 2.0,
        "group_size": 2,
    },
    "nkd_loss": {"temperature": 2.0, "gamma": 1.5},
    "wsl_loss": {"temperature": 2.0},
    "hard_target_loss": {},
    "logit_mse_loss": {"centered": True},
}


def loss_of(name, student, teacher, labels, **options):
    arguments = [tf.convert_to_tensor(x, tf.float32) for x in (student, teacher)]
    if name in LABELED:
        arguments.append(tf.constant(labels))
    return getattr(losses, name)(*arguments, **options)


def drawn(num_classes, *, seed=0, scale=3.0, count=8):
    rng = np.random.default_rng(seed)
    student, teacher = rng.normal(0, scale, (2, count, num_classes))
    return student, teacher, rng.integers(num_classes, size=count)


@pytest.mark.parametrize(
    ("name", "options", "values"),
    [
        ("soft_loss", {"temperature": 4.0}, [1.077967, 0.675788, 0.880077, 1.259035]),
        (
            "dkd_loss",
            {"temperature": 4.0, "target_weight": 1.0, "other_weight": 8.0},
            [4.880030, 7.593558, 4.387644, 11.874475],
        ),
        (
            "dkd_loss",
            {"temperature": 4.0, "target_weight": 1.0, "other_weight": 0.0},
            [0.774519, 0.090248, 0.631314, 0.187739],
        ),
        (
            "dist_loss",
            {
                "temperature": 1.0,
                "example_weight": 1.0,
                "class_weight": 0.0,
                "group_size": 4,
            },
            [0.9723, 0.023245, 0.039918, 1.269191],
        ),
        (
            "nkd_loss",
            {"temperature": 1.0, "gamma": 1.5},
            [2.908239, 2.295688, 2.419502, 2.799914],
        ),
        (
            "jensen_shannon_loss",
            {"temperature": 1.0, "beta": 0.5},
            [0.215001, 0.046214, 0.091711, 0.225925],
        ),
        (
            "reverse_kl_loss",
            {"temperature": 1.0},
            [1.024685, 0.158942, 0.582285, 0.933980],
        ),
        ("wsl_loss", {"temperature": 2.0}, [5.502646, 1.659859, 4.435164, 2.081310]),
    ],
)
def test_published_formulas_have_these_values(name, options, values):
    for found in (
        loss_of(name, STUDENT, TEACHER, LABELS, **options),
        ORACLES[name](STUDENT, TEACHER, LABELS, **options),
    ):
        np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-6)


def test_the_classes_part_of_dist_is_the_mean_over_columns():
    options = {"temperature": 1.0, "example_weight": 0.0, "class_weight": 1.0}
    found = loss_of("dist_loss", STUDENT, TEACHER, LABELS, group_size=4, **options)
    by_class = np.array([0.792453, 0.937109, 0.450549, 0.130912])
    np.testing.assert_allclose(found, [by_class.mean()] * 4, rtol=1e-5)


def test_standardised_logits_have_these_divergences():
    found = losses.soft_loss(
        losses.standardize(tf.constant(STUDENT)),
        losses.standardize(tf.constant(TEACHER)),
        temperature=2.0,
    )
    expected = [0.450362, 0.222637, 0.117321, 0.811321]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("num_classes", [2, 10, 1000])
@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_of_the_formulas_in_float64(name, num_classes):
    batch = drawn(num_classes)
    expected = ORACLES[name](*batch, **CASES[name])
    found = loss_of(name, *batch, **CASES[name])
    assert found.dtype == tf.float32
    # T**2 multiplies the rounding of float32 log-probabilities.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("num_classes", [2, 10, 1000])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_central_differences_of_the_formulas(name, num_classes):
    student, teacher, labels = drawn(num_classes, seed=1, scale=1.0, count=4)
    if name == "wsl_loss":  # whose weight has no gradient
        weight = loss_oracle.wsl_weight(student, teacher, labels)
        formula = functools.partial(ORACLES[name], weight=weight)
    else:
        formula = ORACLES[name]
    variable = tf.Variable(student, dtype=tf.float32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss_of(name, variable, teacher, labels, **CASES[name]))
    found = tape.gradient(total, variable).numpy()
    rng = np.random.default_rng(2)
    for _ in range(5):  # the slope in some direction
        direction = rng.normal(size=student.shape)
        h = 1e-5
        ends = [
            formula(student + sign * h * direction, teacher, labels, **CASES[name])
            for sign in (1, -1)
        ]
        slope = (ends[0].sum() - ends[1].sum()) / (2 * h)
        assert (found * direction).sum() == pytest.approx(slope, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_no_gradient_reaches_the_teacher(name):
    student, teacher, labels = drawn(5)
    variable = tf.Variable(teacher, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = loss_of(name, student, variable, labels, **CASES[name])
    assert tape.gradient(loss, variable) is None


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_extreme_logits_give_finite_losses_and_gradients(name, num_classes):
    extreme = np.resize([80.0, -80.0, 0.0], (4, num_classes))
    labels = np.array([0, 1, 0, num_classes - 1])
    for student in (extreme, -extreme, np.zeros_like(extreme)):
        variable = tf.Variable(student, dtype=tf.float32)
        with tf.GradientTape() as tape:
            loss = loss_of(name, variable, extreme, labels, **CASES[name])
        assert np.isfinite(loss).all()
        assert np.isfinite(tape.gradient(loss, variable)).all()


@pytest.mark.parametrize("name", sorted(LABELED))
def test_an_example_without_a_label_has_a_finite_loss_and_gradient(name):
    student, teacher, _ = drawn(4)
    variable = tf.Variable(student, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = loss_of(name, variable, teacher, np.full(8, -1), **CASES[name])
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, variable)).all()


@pytest.mark.parametrize(
    "name", sorted(CASES.keys() - {"nkd_loss", "hard_target_loss"})
)
def test_a_student_like_its_teacher_has_no_gradient(name):
    _, teacher, labels = drawn(6)
    variable = tf.Variable(teacher, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = loss_of(name, variable, teacher, labels, **CASES[name])
    np.testing.assert_allclose(tape.gradient(loss, variable), 0, atol=2e-5)


def test_nkd_moves_a_student_like_its_teacher_towards_the_label():
    _, teacher, labels = drawn(6)
    variable = tf.Variable(teacher, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = loss_of("nkd_loss", variable, teacher, labels, **CASES["nkd_loss"])
    probs = loss_oracle.softmax(teacher)
    of_label = probs[np.arange(8), labels][:, np.newaxis]
    expected = of_label * (probs - np.eye(6)[labels])
    np.testing.assert_allclose(tape.gradient(loss, variable), expected, atol=1e-5)


def test_kl_is_the_sum_of_the_decoupled_parts():
    student, teacher, labels = drawn(7)
    temperature = 4.0
    part = functools.partial(loss_of, "dkd_loss", student, teacher, labels)
    target = part(temperature=temperature, target_weight=1.0, other_weight=0.0)
    others = part(temperature=temperature, target_weight=0.0, other_weight=1.0)
    probs = loss_oracle.softmax(teacher, temperature)[np.arange(8), labels]
    kl = loss_of("soft_loss", student, teacher, labels, temperature=temperature)
    np.testing.assert_allclose(kl, target + (1 - probs) * others, rtol=1e-4, atol=1e-5)


def test_the_second_part_of_dkd_is_0_for_two_classes():
    student, teacher, labels = drawn(2)
    options = {"temperature": 2.0, "target_weight": 0.0, "other_weight": 1.0}
    found = loss_of("dkd_loss", student, teacher, labels, **options)
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_standardised_logits_do_not_change_with_scale_and_shift():
    student, _, _ = drawn(10)
    moved = tf.constant(2.5 * student + 7, tf.float32)
    np.testing.assert_allclose(
        losses.standardize(moved), losses.standardize(student), rtol=1e-4, atol=1e-5
    )


def test_constant_logits_are_standardised_to_0_without_a_gradient():
    variable = tf.Variable([[3.0, 3.0, 3.0], [0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        standardised = losses.standardize(variable)
        total = tf.reduce_sum(standardised * tf.constant([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(standardised, np.zeros((2, 3)))
    np.testing.assert_array_equal(tape.gradient(total, variable), np.zeros((2, 3)))


def test_dist_does_not_change_with_a_constant_beside_each_example_s_logits():
    _, teacher, labels = drawn(6)
    moved = teacher + np.arange(8)[:, np.newaxis]
    found = loss_of("dist_loss", moved, teacher, labels, **CASES["dist_loss"])
    np.testing.assert_allclose(found, 0, atol=1e-5)


def test_dist_s_groups_see_nothing_of_each_other():
    student, teacher, labels = drawn(6)
    options = CASES["dist_loss"] | {"group_size": 4}
    whole = loss_of("dist_loss", student, teacher, labels, **options)
    second = loss_of("dist_loss", student[4:], teacher[4:], labels[4:], **options)
    np.testing.assert_allclose(whole[4:], second, rtol=1e-5)


def test_jensen_shannon_is_symmetric_at_one_half_and_below_ln_2():
    student, teacher, labels = drawn(5, scale=20.0)
    options = {"temperature": 1.0, "beta": 0.5}
    there = loss_of("jensen_shannon_loss", student, teacher, labels, **options)
    back = loss_of("jensen_shannon_loss", teacher, student, labels, **options)
    np.testing.assert_allclose(there, back, rtol=1e-5)
    assert there.numpy().max() <= np.log(2) + 1e-6


@pytest.mark.parametrize(
    ("beta", "other"), [(0.0, "soft_loss"), (1.0, "reverse_kl_loss")]
)
def test_the_ends_of_jensen_shannon_are_the_divergences(beta, other):
    student, teacher, labels = drawn(5)
    found = loss_of(
        "jensen_shannon_loss", student, teacher, labels, temperature=2.0, beta=beta
    )
    expected = loss_of(other, student, teacher, labels, temperature=2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_jensen_shannon_over_beta_tends_to_kl():
    student, teacher, labels = drawn(5, scale=1.0)
    beta = 1e-3
    found = loss_of(
        "jensen_shannon_loss", student, teacher, labels, temperature=1.0, beta=beta
    )
    expected = loss_of("soft_loss", student, teacher, labels, temperature=1.0)
    np.testing.assert_allclose(found / beta, expected, rtol=2e-2, atol=1e-3)


def test_centred_logits_are_the_limit_of_kl_at_high_temperatures():
    student, teacher, labels = drawn(6, scale=1.0)
    centred = loss_of("logit_mse_loss", student, teacher, labels, centered=True)
    kl = loss_of("soft_loss", student, teacher, labels, temperature=60.0)
    np.testing.assert_allclose(2 * kl, centred, rtol=4e-2)
    plain = loss_of("logit_mse_loss", student, teacher, labels, centered=False)
    expected = np.square(student - teacher).mean(axis=1)
    np.testing.assert_allclose(plain, expected, rtol=1e-5)
