"""Steps of which XLA compiles one network's part: they are those that it leaves alone.

The teacher alone has a Tanh, and only gradients of the student have a ReluGrad.
"""

import dataclasses
import functools

import keras
import numpy as np
import pytest

from tests.helpers.graphs import operations
from tests.helpers.students import (
    ADAM,
    IMAGE_SHAPE,
    NUM_CLASSES,
    SGD,
    Run,
    batch_norm_model,
)
from trainer.config import MlpOptions, TermConfig, TrainConfig
from trainer.config.losses import LOSSES

TEACHER, STUDENT = "Tanh", "ReluGrad"
SGD_PARTS = dataclasses.replace(SGD, accumulate=2)
HINT = TermConfig(
    loss="hint",
    options=LOSSES["hint"].options(),
    weight=0.5,
    student_layer=("embedding",),
    teacher_layer=("inside",),
)
KL = TermConfig(loss="kl", options=LOSSES["kl"].options(), weight=0.5, temperature=2.0)


def with_tanh(options: MlpOptions, seed: int = 0) -> keras.Model:
    del options
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(24, activation="tanh", name="inside"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


@functools.cache
def make(
    *,
    num_replicas: int = 1,
    xla: bool | str = False,
    terms: tuple[TermConfig, ...] = (),
    **settings,
) -> Run:
    return Run(
        num_replicas=num_replicas,
        xla=xla,
        build_teacher=with_tanh,
        terms=terms,
        term_gradients=bool(terms),
        **settings,
    )


@functools.cache
def five_steps(**settings) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    run = make(**settings)
    return [run.compiled.run(1) for _ in range(5)], run.weights()


def assert_trains_as_uncompiled(
    xla: str, *, num_replicas: int = 1, train: TrainConfig = SGD, **settings
) -> None:
    """As one device does, which takes each batch at once."""
    expected, weights = five_steps(
        train=dataclasses.replace(train, accumulate=1), **settings
    )
    found, ours = five_steps(
        num_replicas=num_replicas, xla=xla, train=train, **settings
    )
    for step, same in zip(found, expected, strict=True):
        assert step == pytest.approx(same, rel=1e-5, abs=1e-6)
    for actual, wanted in zip(ours, weights, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("xla", "num_replicas", "train"),
    [
        ("teacher", 2, SGD),
        ("student", 1, SGD),
        *(
            pytest.param(*settings, marks=pytest.mark.slow)
            for settings in [
                ("teacher", 1, ADAM),
                ("student", 1, ADAM),
                ("teacher", 2, SGD_PARTS),
                ("student", 2, SGD_PARTS),
                ("student", 2, dataclasses.replace(SGD, mixup=0.5)),
                ("teacher", 2, dataclasses.replace(SGD, mixup=0.5)),
            ]
        ),
    ],
)
def test_the_training_is_that_of_no_compiled_part(xla, num_replicas, train):
    assert_trains_as_uncompiled(xla, num_replicas=num_replicas, train=train)


@pytest.mark.slow
@pytest.mark.parametrize("xla", ["teacher", "student"])
def test_layers_are_compared_across_both_parts(xla):
    assert_trains_as_uncompiled(xla, num_replicas=2, train=SGD_PARTS, terms=(HINT, KL))


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", [1, 2])
def test_moving_statistics_leave_the_student_s_program(num_replicas):
    # Two devices normalise by statistics of their own halves.
    settings = {"num_replicas": num_replicas, "build": batch_norm_model}
    expected, weights = five_steps(train=SGD, **settings)
    found, ours = five_steps(train=SGD, xla="student", **settings)
    assert found == [pytest.approx(step, rel=1e-5, abs=1e-6) for step in expected]
    for actual, wanted in zip(ours, weights, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("xla", "num_replicas", "compiled"),
    [
        (False, 1, set()),
        ("teacher", 2, {TEACHER}),
        ("student", 1, {STUDENT}),
        (True, 1, {TEACHER, STUDENT}),
    ],
)
def test_one_part_is_compiled_and_the_other_is_not(xla, num_replicas, compiled):
    run = make(train=SGD, num_replicas=num_replicas, xla=xla)
    found = operations(run.compiled)
    assert found.compiled & {TEACHER, STUDENT} == compiled
    assert found.others & {TEACHER, STUDENT} == {TEACHER, STUDENT} - compiled


def test_the_update_is_the_student_s():
    update = "L2Loss"  # of the norm of the gradient
    teacher, student = (
        operations(make(train=SGD, num_replicas=num_replicas, xla=xla).compiled)
        for xla, num_replicas in (("teacher", 2), ("student", 1))
    )
    assert update in teacher.others - teacher.compiled
    assert update in student.compiled - student.others
