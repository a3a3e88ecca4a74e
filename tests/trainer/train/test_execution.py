"""Several steps as one program train as one step after another does."""

import dataclasses
import itertools

import numpy as np
import pytest

from tests.helpers.configs import RUN
from tests.helpers.devices import numpy_of
from tests.helpers.messages import refused
from tests.helpers.students import ADAM, SGD, Run, batch_norm_model
from trainer.config import ConfigError, load
from trainer.devices import distribution


@pytest.fixture(scope="module")
def one_by_one():
    """The losses, the weights and the count of ten steps without XLA."""
    run = Run(train=ADAM)
    losses = run.losses(10)
    return losses, run.weights(), int(numpy_of(run.update.iterations))


@pytest.fixture(scope="module")
def in_programs():
    """Ten steps in calls that end inside programs of four; the loss of each call."""
    run = Run(train=ADAM, xla=True, steps_per_execution=4)
    lengths = [1, 6, 2, 1]
    losses = [run.compiled.run(length)["loss"] for length in lengths]
    return run, lengths, losses


def test_programs_take_the_same_steps_wherever_calls_end(one_by_one, in_programs):
    losses, weights, _ = one_by_one
    run, lengths, told = in_programs
    ends = np.cumsum(lengths)
    means = [
        np.mean(losses[end - length : end])
        for end, length in zip(ends, lengths, strict=True)
    ]
    np.testing.assert_allclose(told, means, rtol=1e-5)
    for ours, expected in zip(run.weights(), weights, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_programs_count_their_steps(one_by_one, in_programs):
    *_, count = one_by_one
    assert int(numpy_of(in_programs[0].update.iterations)) == count == 10


def test_programs_of_any_length_trace_the_core_once(in_programs):
    assert in_programs[0].compiled.compute.experimental_get_tracing_count() == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {
            # Not Adam, which makes steps of what rounding leaves of zero gradients.
            "train": dataclasses.replace(SGD, ema=0.9, accumulate=2, clip_norm=1.0),
            "build": batch_norm_model,
        },
        {"train": ADAM, "precision": "mixed_float16"},
    ],
)
def test_programs_hold_all_that_a_step_has(settings):
    alone = Run(xla=True, **settings)
    together = Run(xla=True, steps_per_execution=4, **settings)
    for _ in range(2):
        expected = alone.compiled.run(5)
        assert together.compiled.run(5) == pytest.approx(expected, rel=1e-5)
    for ours, expected in zip(state(together), state(alone), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def state(run: Run) -> list[np.ndarray]:
    """Weights, moving statistics, slots and averages."""
    kept = itertools.chain(*run.update.state.values())
    return [*run.weights(), *map(numpy_of, kept)]


def test_a_wish_to_stop_is_seen_in_programs():
    run = Run(train=SGD, xla=True, steps_per_execution=2)
    assert run.compiled.run(2)["stop"] == 0
    run.stop.assign(1.0)
    assert run.compiled.run(2)["stop"] == 2


@pytest.fixture
def check(tmp_path):
    """Checks a run with some settings, on so many replicas."""
    file = tmp_path / "run.toml"
    file.write_text(RUN)

    def check(num_replicas: int, **settings: object) -> None:
        overrides = [f"{name}={value!r}" for name, value in settings.items()]
        distribution.check_execution(load(str(file), overrides), num_replicas)

    return check


TOGETHER = {"runtime.steps_per_execution": 5}
CACHED = {"distill.soft_targets": "cached"}


@pytest.mark.parametrize(
    ("settings", "num_replicas", "wrong"),
    [
        ({"runtime.xla": "on"}, 2, ["2 replicas"]),
        ({"runtime.xla": "off"}, 1, ["XLA off"]),
        ({}, 1, ["XLA off"]),
        ({"runtime.xla": "teacher"}, 1, ["runtime.xla = 'teacher'"]),
        ({"runtime.xla": "teacher", **CACHED}, 1, ["runtime.xla = 'teacher'"]),
        (
            {"runtime.xla": "student", "distill.soft_targets": "online"},
            1,
            ["runtime.xla = 'student'", "distill.soft_targets = 'online'"],
        ),
        (
            {"runtime.xla": "student"},
            1,
            ["runtime.xla = 'student'", "distill.soft_targets = 'auto'"],
        ),
        ({"runtime.xla": "student", **CACHED}, 2, ["2 replicas"]),
    ],
)
def test_programs_are_for_one_replica_with_xla(check, settings, num_replicas, wrong):
    facts = ("runtime.steps_per_execution", 1, *wrong, 5, "runtime.xla = 'on'")
    with refused(ConfigError, *facts):
        check(num_replicas, **TOGETHER, **settings)


def test_what_goes_together_is_taken(check):
    check(1, **TOGETHER, **{"runtime.xla": "on"})
    check(1, **TOGETHER, **{"runtime.xla": "student"}, **CACHED)
    check(2)
