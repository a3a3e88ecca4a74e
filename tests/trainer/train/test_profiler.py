"""The steps that were asked for are in the profile, and no others."""

import errno
import os
import pathlib

import pytest
import tensorflow as tf

from tests.helpers import whole_run
from tests.helpers.messages import assert_states, refused
from trainer import config, main
from trainer.storage import files
from trainer.train import loop, profiler


def profiles(folder: pathlib.Path) -> list[pathlib.Path]:
    return list(folder.rglob("*.xplane.pb"))


def profiled_loops(folder: pathlib.Path) -> list[int]:
    """Of loops named by `trace` those in the only profile, by their first step."""
    (path,) = profiles(folder)
    content = path.read_bytes()
    return [step for step in range(0, 100, 10) if f"<after {step}>".encode() in content]


def trace(
    folder: pathlib.Path, steps: tuple[int, ...], *, first: int, last: int, fails=100
) -> None:
    """Loops of ten steps that leave their name in a profile; one of them may fail."""
    finished = first

    def run_steps(num_steps: int) -> loop.Metrics:
        nonlocal finished
        assert num_steps == 10
        with tf.profiler.experimental.Trace(f"<after {finished}>"):
            if finished == fails:
                raise loop.DivergedError("training diverged")
            finished += num_steps
        return {"loss": float(finished)}

    with profiler.profile(run_steps, steps, first_step=first, folder=folder) as run:
        while finished < last:
            assert run(10) == {"loss": float(finished)}


@pytest.mark.parametrize(
    ("steps", "first", "loops"),
    [
        ((0, 10), 0, [0]),
        ((20, 50), 0, [20, 30, 40]),
        ((20, 50), 20, [20, 30, 40]),
        ((20, 50), 30, [30, 40]),
        ((50, 60), 0, [50]),
        ((50, 90), 0, [50]),
    ],
)
def test_a_profile_holds_the_steps_asked_for(tmp_path, steps, first, loops):
    trace(tmp_path, steps, first=first, last=60)
    assert profiled_loops(tmp_path) == loops


@pytest.mark.parametrize(
    ("steps", "first"), [((), 0), ((60, 90), 0), ((10, 20), 20), ((10, 20), 30)]
)
def test_no_profile_is_taken_of_other_steps(tmp_path, steps, first):
    trace(tmp_path, steps, first=first, last=60)
    assert not profiles(tmp_path)


def test_a_training_that_diverges_leaves_its_profile_and_another_can_be_taken(tmp_path):
    with pytest.raises(loop.DivergedError):
        trace(tmp_path / "teacher", (10, 50), first=0, last=60, fails=30)
    assert profiled_loops(tmp_path / "teacher") == [10, 20, 30]
    trace(tmp_path / "student", (10, 20), first=0, last=60)
    assert profiled_loops(tmp_path / "student") == [10]


@pytest.mark.parametrize(
    ("first", "missing"), [(0, None), (10, None), (20, "11 to 20"), (40, "11 to 30")]
)
def test_steps_that_an_earlier_process_did_are_named(tmp_path, capsys, first, missing):
    trace(tmp_path, (10, 30), first=first, last=60)
    told = capsys.readouterr().err
    assert told.count("\n") == bool(missing)
    assert_states(told, *[tmp_path, f"steps {missing}"] if missing else [])


def test_a_full_disk_is_told_as_for_other_files(small_disk, tmp_path):
    (small_disk / "filler").write_bytes(bytes(2**20))
    with refused(
        files.StorageError, small_disk, os.strerror(errno.ENOSPC), "--workdir"
    ):
        trace(small_disk, (0, 90), first=0, last=90)
    # A profile was given up, and another can be taken.
    trace(tmp_path / "elsewhere", (0, 10), first=0, last=10)


@pytest.mark.slow
def test_a_training_profiles_on_request_only(tmp_path, tfds_dir):
    file = whole_run.write_config(tmp_path, tfds_dir)
    for name, steps in (("without", []), ("with", [10, 20])):
        words = whole_run.command("teacher", file, tmp_path / name)
        words += [f"--set=runtime.profile_steps={steps}"]
        assert main.main([*words, "--set=teacher.train.steps=20"]) == 0
    assert not profiles(tmp_path / "without")
    assert len(profiles(tmp_path / "with" / "teacher" / "profile")) == 1


@pytest.mark.parametrize(
    ("steps", "facts"),
    [
        ([10], ["two", "rising", [], [10]]),
        ([5, 10, 15], ["two", "rising", [5, 10, 15]]),
        ([10, 10], ["two", "rising", [10, 10]]),
        ([10, 5], [[10, 5], "--set='runtime.profile_steps=[10, 15]'"]),
        ([-5, 5], ["runtime.profile_steps[0]", 0, 1000000000, -5]),
        ([7, 10], ["runtime.steps_per_loop", 5, [7, 10], [5, 10]]),
        ([7, 11], ["runtime.steps_per_loop", 5, [7, 11], [5, 15]]),
    ],
)
def test_other_than_two_ends_of_loops_are_refused(tmp_path, steps, facts):
    file = whole_run.write_config(tmp_path, "")
    with refused(config.ConfigError, "runtime.profile_steps", *facts):
        config.load(str(file), [f"runtime.profile_steps={steps}"])
