"""Periods of a training: each a multiple of another, whatever number is asked for."""

import pytest

from tests.helpers.configs import RUN
from tests.helpers.messages import assert_states, refused
from trainer.config import ConfigError, load, loop_steps, periods


@pytest.fixture
def runtime(tmp_path):
    """The runtime section of a small run with some settings of its own."""
    path = tmp_path / "run.toml"
    path.write_text(RUN)

    def runtime(**settings):
        sets = [f"runtime.{name}={value}" for name, value in settings.items()]
        return load(str(path), sets).runtime

    return runtime


def test_the_defaults_are_multiples_as_they_are(runtime):
    found = periods(runtime(), epoch_steps=937.5)
    assert list(found.steps.values()) == [50, 50, 200, 200]
    assert found.notes == ()


def test_what_goes_together_stays_as_it_is(runtime):
    steps = {"steps_per_loop": 20, "log_every_steps": 40, "eval_every_steps": 120}
    steps["save_every_steps"] = 80
    found = periods(runtime(**steps))
    assert found.steps == steps
    assert not found.notes


@pytest.mark.parametrize(
    ("name", "asked", "unit", "unit_steps", "taken"),
    [
        ("steps_per_loop", 50, "steps_per_execution", 32, 64),
        ("log_every_steps", 70, "steps_per_loop", 50, 50),
        ("log_every_steps", 75, "steps_per_loop", 50, 100),
        ("eval_every_steps", 350, "log_every_steps", 100, 400),
        ("eval_every_steps", 349, "log_every_steps", 100, 300),
        ("eval_every_steps", 1, "log_every_steps", 100, 100),
        ("save_every_steps", 1_000_003, "log_every_steps", 7, 1_000_006),
    ],
)
def test_any_number_is_taken_as_the_nearest_multiple(
    runtime, name, asked, unit, unit_steps, taken
):
    settings = {"steps_per_loop": 1, unit: unit_steps, name: asked}
    found = periods(runtime(**settings))
    assert found.steps[name] == taken
    [note] = [note for note in found.notes if f"runtime.{name} = " in note]
    assert_states(note, asked, taken, f"runtime.{unit} ({unit_steps})")


def test_periods_nest_in_the_order_of_their_units(runtime):
    settings = {"steps_per_execution": 8, "steps_per_loop": 20, "log_every_steps": 50}
    found = periods(runtime(**settings, eval_every_steps=110, save_every_steps=30))
    steps = found.steps
    assert list(steps.values()) == [24, 48, 96, 48]
    assert loop_steps(runtime(**settings)) == steps["steps_per_loop"]
    assert len(found.notes) == 4


@pytest.mark.parametrize(
    ("epoch_steps", "taken"), [(937.5, 950), (60.0, 50), (3.2, 50)]
)
def test_an_epoch_is_the_nearest_multiple(runtime, epoch_steps, taken):
    found = periods(runtime(eval_every_steps="epoch"), epoch_steps=epoch_steps)
    assert found.steps["eval_every_steps"] == taken
    assert_states(found.notes[0], "'epoch'", f"{epoch_steps:.6g}", taken, 50)


def test_an_epoch_may_be_the_unit(runtime):
    every = {"log_every_steps": "epoch", "eval_every_steps": "epoch"}
    found = periods(runtime(steps_per_loop=10, **every), epoch_steps=104.2)
    assert list(found.steps.values()) == [10, 100, 100, 200]


def test_without_data_nothing_is_said_of_epochs(runtime):
    found = periods(runtime(log_every_steps="epoch", save_every_steps=7))
    assert found.steps == {"steps_per_loop": 50}
    assert found.notes == ()


@pytest.mark.parametrize(
    ("name", "value", "facts"),
    [
        ("eval_every_steps", "epochs", ("whole number", "'epoch'", "'epochs'")),
        ("eval_every_steps", 0, (1, 10**9, 0)),
        ("steps_per_loop", "epoch", ("whole number", "'epoch'")),
        ("steps_per_loop", 2.5, ("whole number", 2.5)),
    ],
)
def test_what_is_no_period_is_refused(runtime, name, value, facts):
    with refused(ConfigError, f"runtime.{name}", *facts):
        runtime(**{name: value})


def test_a_profile_begins_and_ends_with_loops_as_they_are_taken(runtime):
    settings = {"steps_per_execution": 8, "steps_per_loop": 20}  # 24
    assert runtime(**settings, profile_steps="[24, 48]").profile_steps == (24, 48)
    with refused(ConfigError, "runtime.profile_steps", "(24)", [20, 40], [0, 48]):
        runtime(**settings, profile_steps="[20, 40]")
