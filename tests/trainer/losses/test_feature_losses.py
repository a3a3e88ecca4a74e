"""Losses on features and relations: values, identities, gradients and edges.

The formulas of tests/helpers/feature_loss_oracle.py are NumPy in float64.
"""

import dataclasses
import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.feature_loss_oracle import ORACLES
from trainer import losses

RKD = {"distance_weight": 25.0, "angle_weight": 50.0, "group_size": 4}
VARIANCE = np.array([0.5, 2.0, 1.0, 0.25, 3.0])


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss, the shapes of an example's features, student and teacher by turns."""

    loss: str
    shapes: list[tuple[int, ...]]
    options: dict = dataclasses.field(default_factory=dict)

    def draw(self, *, seed=0, count=8):
        rng = np.random.default_rng(seed)
        return [rng.normal(0.3, 1.0, (count, *shape)) for shape in self.shapes]

    def run(self, *features):
        options = self.options
        if "variance" in options:
            options = {"variance": tf.constant(options["variance"], tf.float32)}
        return getattr(losses, self.loss)(*features, **options)

    @property
    def formula(self):
        return functools.partial(ORACLES[self.loss], **self.options)


CASES = {
    "hint": Case("hint_loss", [(3, 4, 5), (3, 4, 5)]),
    "hint of vectors": Case("hint_loss", [(5,), (5,)]),
    "attention": Case("attention_loss", [(3, 4, 5), (3, 4, 7)]),
    "attention of sequences": Case("attention_loss", [(6, 5), (6, 3)]),
    "similarity": Case("similarity_loss", [(3, 2, 4), (2, 5)], {"group_size": 4}),
    "rkd": Case("rkd_loss", [(6,), (9,)], RKD),
    "pkt": Case("pkt_loss", [(6,), (9,)], {"group_size": 4}),
    "contrastive": Case(
        "contrastive_loss", [(6,), (6,)], {"tau": 0.2, "group_size": 4}
    ),
    "vid": Case("vid_loss", [(3, 4, 5), (3, 4, 5)], {"variance": VARIANCE}),
    "cosine": Case("cosine_loss", [(3, 4, 5), (3, 4, 5)]),
    "cosine of vectors": Case("cosine_loss", [(6,), (6,)]),
    "srrl": Case("srrl_loss", [(6,), (6,), (5,), (5,)]),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def some(*names):
    return pytest.mark.parametrize("case", [CASES[name] for name in names], ids=names)


# Nothing but directions counts.
DIRECTIONS = (
    "attention",
    "attention of sequences",
    "similarity",
    "rkd",
    "pkt",
    "contrastive",
    "cosine",
    "cosine of vectors",
)


def tensors(features, dtype=tf.float32):
    return [tf.cast(tf.constant(values, tf.float32), dtype) for values in features]


def value_and_gradients(case, features):
    """The loss [M], and the gradients of its sum to the student's features."""
    with tf.GradientTape() as tape:
        tape.watch(features)
        value = case.run(*features)
    return value, tape.gradient(value, features[::2])


def assert_slope(gradients, formula, features, directions):
    """The gradients are the slope of the formula along the directions."""
    ends = []
    for h in (1e-5, -1e-5):
        moved = list(features)
        moved[::2] = [
            values + h * direction
            for values, direction in zip(features[::2], directions, strict=True)
        ]
        ends.append(formula(*moved).sum())
    terms = [g.numpy() * d for g, d in zip(gradients, directions, strict=True)]
    size = sum(np.abs(term).sum() for term in terms)
    found = sum(term.sum() for term in terms)
    slope = (ends[0] - ends[1]) / 2e-5
    assert found == pytest.approx(slope, rel=1e-4, abs=1e-5 * size + 1e-6)


def drawn_directions(features, *, seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=values.shape) for values in features[::2]]


ORTHOGONAL, ALIKE = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]
TRIANGLE = [[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]]
LINE = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]


@pytest.mark.parametrize(
    ("loss", "features", "options", "expected"),
    [
        ("hint_loss", [[[1.0, 2.0]], [[3.0, 2.0]]], {}, [2.0]),
        # (1, 0) against (1, 1) / sqrt(2).
        ("attention_loss", [[[[3.0], [0.0]]], [[[2.0], [2.0]]]], {}, [0.292893]),
        ("similarity_loss", [ORTHOGONAL, ALIKE], {"group_size": 2}, [0.292893] * 2),
        # Distances of the line are 3/4, 3/4 and 3/2 of their mean.
        (
            "rkd_loss",
            [LINE, TRIANGLE],
            {"distance_weight": 1.0, "angle_weight": 0.0, "group_size": 3},
            [0.375 / 9] * 3,
        ),
        # Cosines 1/2 of the triangle; of the line -1 in the middle, 1 at the ends.
        (
            "rkd_loss",
            [LINE, TRIANGLE],
            {"distance_weight": 0.0, "angle_weight": 1.0, "group_size": 3},
            [2.5 / 27] * 3,
        ),
        # Rows (2/3, 1/3) against (1/2, 1/2).
        (
            "pkt_loss",
            [ORTHOGONAL, ALIKE],
            {"group_size": 2},
            [math.log(9 / 8) / 4] * 2,
        ),
        (
            "contrastive_loss",
            [ORTHOGONAL, ORTHOGONAL],
            {"tau": 0.5, "group_size": 2},
            [math.log(1 + math.exp(-2))] * 2,
        ),
        (
            "vid_loss",
            [[[1.0]], [[3.0]]],
            {"variance": tf.constant([4.0])},
            [(1 + math.log(4)) / 2],
        ),
        ("cosine_loss", [[[2.0, 0.0]], [[3.0, 3.0]]], {}, [0.292893]),
        ("srrl_loss", [[[1.0, 2.0]], [[3.0, 2.0]], [[0.0]], [[3.0]]], {}, [11.0]),
    ],
)
def test_small_features_have_these_losses(loss, features, options, expected):
    found = getattr(losses, loss)(*tensors(features), **options)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16])
@every_case
def test_losses_are_those_of_the_formulas_in_float64(case, dtype):
    features = tensors(case.draw(), dtype)
    value, gradients = value_and_gradients(case, features)
    rounded = [tf.cast(values, tf.float64).numpy() for values in features]
    assert value.dtype == tf.float32
    np.testing.assert_allclose(value, case.formula(*rounded), rtol=1e-5, atol=1e-7)
    assert [gradient.dtype for gradient in gradients] == [dtype] * len(gradients)


@every_case
def test_gradients_are_central_differences_of_the_formulas(case):
    features = case.draw(seed=1)
    _, gradients = value_and_gradients(case, tensors(features))
    for seed in range(3):
        directions = drawn_directions(features, seed=seed)
        assert_slope(gradients, case.formula, features, directions)


@every_case
def test_no_gradient_reaches_the_teacher(case):
    features = tensors(case.draw())
    with tf.GradientTape() as tape:
        tape.watch(features)
        value = case.run(*features)
    assert set(tape.gradient(value, features[1::2])) == {None}


def test_the_gradient_to_the_variance_is_its_central_difference():
    features = CASES["vid"].draw()
    variance = tf.Variable(VARIANCE, dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = losses.vid_loss(*tensors(features), variance=variance)
    found = tape.gradient(value, variance).numpy()
    for channel, h in enumerate(1e-5 * np.eye(5)):
        ends = [
            ORACLES["vid_loss"](*features, variance=VARIANCE + sign * h).sum()
            for sign in (1, -1)
        ]
        assert found[channel] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4)


@pytest.fixture(scope="module")
def compiled():
    """Value and gradients of each case, compiled by XLA together."""

    @tf.function(jit_compile=True)
    def run(features):
        return [
            value_and_gradients(case, features[name]) for name, case in CASES.items()
        ]

    features = {name: tensors(case.draw()) for name, case in CASES.items()}
    return dict(zip(CASES, run(features), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_xla_changes_neither_losses_nor_gradients(compiled, name):
    eager = value_and_gradients(CASES[name], tensors(CASES[name].draw()))
    for found, expected in zip(
        tf.nest.flatten(compiled[name]), tf.nest.flatten(eager), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@every_case
def test_groups_see_nothing_of_each_other(case):
    features = case.draw()
    others = case.draw(seed=5)
    first, second = ([values[half] for values in features] for half in np.s_[:4, 4:])
    whole = case.run(*tensors(features)).numpy()
    parts = [case.run(*tensors(part)) for part in (first, second)]
    np.testing.assert_allclose(whole, np.concatenate(parts), rtol=1e-5)
    # Another group in the first place, and the groups the other way round.
    mixed = [np.concatenate([a[:4], b]) for a, b in zip(others, second, strict=True)]
    np.testing.assert_allclose(case.run(*tensors(mixed))[4:], whole[4:], rtol=1e-5)
    turned = [np.roll(values, 4, axis=0) for values in features]
    np.testing.assert_allclose(case.run(*tensors(turned)), np.roll(whole, 4), rtol=1e-5)


@some("similarity", "rkd", "pkt", "contrastive")
def test_examples_of_a_group_are_compared(case):
    features = tensors(case.draw())
    whole = case.run(*features).numpy()
    turned = [tf.roll(values, 1, axis=0) for values in features]
    # Each group has an example of the other one now.
    changed = np.roll(case.run(*turned).numpy(), -1)
    assert (np.abs(changed - whole) > 1e-4).any()


@some("hint", "attention", "similarity", "rkd", "pkt", "cosine", "srrl")
def test_a_student_like_its_teacher_has_no_loss_and_no_gradient(case):
    students = tensors(case.draw()[::2])
    features = [values for student in students for values in (student, student)]
    value, gradients = value_and_gradients(case, features)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_a_student_like_its_teacher_leaves_the_variance_alone():
    student = tensors(CASES["vid"].draw())[0]
    value, (gradient,) = value_and_gradients(CASES["vid"], [student, student])
    np.testing.assert_allclose(value, np.log(VARIANCE).mean() / 2, rtol=1e-5)
    np.testing.assert_array_equal(gradient, np.zeros(student.shape))


@pytest.mark.parametrize("scale", [3.0, 1e-12, 1e12])
@some(*DIRECTIONS)
def test_a_student_s_scale_does_not_count(case, scale):
    student, teacher = case.draw()
    expected, (slope,) = value_and_gradients(case, tensors([student, teacher]))
    found, (gradient,) = value_and_gradients(case, tensors([scale * student, teacher]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(scale * gradient, slope, rtol=1e-4, atol=1e-5)


@some("similarity", "rkd", "pkt")
def test_relations_do_not_change_with_a_rotation(case):
    student, teacher = case.draw()
    num_values = student.shape[-1]
    square = np.random.default_rng(3).normal(size=(num_values, num_values))
    rotated = student @ np.linalg.qr(square).Q
    expected = case.run(*tensors([student, teacher]))
    found = case.run(*tensors([rotated, teacher]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_rkd_does_not_change_with_a_shift_of_all_embeddings():
    student, teacher = CASES["rkd"].draw()
    expected = CASES["rkd"].run(*tensors([student, teacher]))
    found = CASES["rkd"].run(*tensors([student + 7.0, teacher]))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


# Which examples of a batch are made what; they move together, or not at all.
EDGES = {
    "one of zeros": (np.s_[1:2], 0.0),
    "all of zeros": (np.s_[:], 0.0),
    "two alike": (np.s_[1:3], 1.0),
    "all alike": (np.s_[:], 1.0),
}
edges = pytest.mark.parametrize(("rows", "scale"), EDGES.values(), ids=EDGES)


def put_edge(values, rows, scale):
    changed = values.copy()
    changed[rows] = scale * values[1]
    return changed


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16])
@edges
@some(*DIRECTIONS)
def test_zeros_and_equals_have_the_formula_s_loss_and_slope(case, rows, scale, dtype):
    rounded = [tf.cast(values, dtype).numpy() for values in case.draw()]
    student, teacher = (values.astype(np.float64) for values in rounded)
    for features in (
        [put_edge(student, rows, scale), teacher],
        [student, put_edge(teacher, rows, scale)],
        [put_edge(values, rows, scale) for values in (student, teacher)],
    ):
        value, (gradient,) = value_and_gradients(case, tensors(features, dtype))
        np.testing.assert_allclose(value, case.formula(*features), rtol=1e-5, atol=1e-6)
        assert np.isfinite(gradient).all()
        if dtype == tf.float32:
            (direction,) = drawn_directions(features, seed=2)
            together = put_edge(direction, rows, scale)
            assert_slope([gradient], case.formula, features, [together])


@some("attention", "pkt", "contrastive", "cosine")
def test_zeros_have_no_gradient(case):
    student, teacher = case.draw()
    student[1] = 0
    _, (gradient,) = value_and_gradients(case, tensors([student, teacher]))
    np.testing.assert_array_equal(gradient[1], np.zeros(student.shape[1:]))


def test_one_place_of_zeros_leaves_the_slope_of_the_others():
    case = CASES["cosine"]
    student, teacher = case.draw()
    student[:, 1, 2] = 0
    _, gradients = value_and_gradients(case, tensors([student, teacher]))
    (direction,) = drawn_directions([student], seed=0)
    direction[:, 1, 2] = 0
    assert_slope(gradients, case.formula, [student, teacher], [direction])


def test_rkd_moves_coinciding_embeddings_by_their_distances_to_others():
    student, teacher = CASES["rkd"].draw(count=4)
    student[2] = student[1]
    _, gradients = value_and_gradients(CASES["rkd"], tensors([student, teacher]))
    apart = ~np.eye(4, dtype=bool)
    apart[1, 2] = apart[2, 1] = False
    formula = functools.partial(CASES["rkd"].formula, apart=apart)
    for seed in range(3):
        directions = drawn_directions([student], seed=seed)
        assert_slope(gradients, formula, [student, teacher], directions)


def test_rkd_takes_embeddings_that_differ_by_rounding_for_coinciding():
    student, teacher = (values.astype(np.float32) for values in CASES["rkd"].draw())
    student[2] = student[1]
    expected = value_and_gradients(CASES["rkd"], tensors([student, teacher]))
    student[2] = np.nextafter(student[1], 9)
    found = value_and_gradients(CASES["rkd"], tensors([student, teacher]))
    assert (student[2] != student[1]).all()
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1][0], expected[1][0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16])
def test_pkt_of_opposite_embeddings_is_finite(dtype):
    student, teacher = CASES["pkt"].draw()
    student[1::2] = -student[::2]
    features = tensors([student, teacher], dtype)
    value, (gradient,) = value_and_gradients(CASES["pkt"], features)
    assert np.isfinite(value).all()
    assert np.isfinite(tf.cast(gradient, tf.float32)).all()


@pytest.mark.parametrize("name", CASES)
def test_large_float16_features_are_compared_in_float32(name):
    case = CASES[name]
    features = [np.clip(2e4 * values, -6e4, 6e4) for values in case.draw()]
    if name == "vid":
        features = [values / 2e4 for values in features]
    features = tensors(features, tf.float16)
    rounded = [tf.cast(values, tf.float64).numpy() for values in features]
    np.testing.assert_allclose(case.run(*features), case.formula(*rounded), rtol=1e-5)
