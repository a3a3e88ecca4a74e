"""Checkpoints restore everything or refuse with a reason."""

import errno
import os

import keras
import numpy as np
import pytest

from tests.helpers.checkpoints import build, fill, open_in
from tests.helpers.messages import assert_states, refused
from trainer.storage.files import StorageError
from trainer.train.checkpoint import Checkpoints, latest_progress, newest_intact
from trainer.train.checkpoint_file import CheckpointError, Progress, steps_of


def restore_latest(folder, checkpoints: Checkpoints) -> Progress:
    return checkpoints.restore(steps_of(folder)[-1])


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_every_variable_comes_back_on_every_replica(tmp_path, num_replicas):
    saved, its_optimizer = build()
    values = fill(saved, its_optimizer, seed=1)
    position = Progress(step=7, best_step=7, best_value=0.5)
    open_in(tmp_path, saved, its_optimizer).save(position)

    model, optimizer = build(num_replicas=num_replicas)
    assert restore_latest(tmp_path, open_in(tmp_path, model, optimizer)) == position
    for variable, value in zip(
        (*model.variables, *optimizer.variables), values, strict=True
    ):
        copies = getattr(variable.value, "values", [variable.value])
        assert len(copies) == num_replicas
        for copy in copies:
            np.testing.assert_array_equal(copy.numpy(), value)


def test_without_a_checkpoint_the_training_is_at_its_start(tmp_path):
    model, optimizer = build()
    before = fill(model, optimizer, seed=1)
    assert steps_of(tmp_path / "none") == []
    np.testing.assert_array_equal(model.variables[0].numpy(), before[0])
    assert latest_progress(tmp_path / "none") == Progress()


def test_the_newest_and_the_best_are_kept(tmp_path):
    model, optimizer = build()
    checkpoints = open_in(tmp_path, model, optimizer, keep=2)
    for step in (10, 20, 30, 40, 50):
        best = 10 if step < 40 else 40
        checkpoints.save(Progress(step=step, best_step=best, best_value=0.5))
        names = sorted(path.name for path in tmp_path.iterdir())
        expected = {
            10: [10],
            20: [10, 20],
            30: [10, 20, 30],
            40: [10, 30, 40],
            50: [40, 50],
        }[step]
        assert names == [f"step-{kept:08d}.npz" for kept in expected]
    assert latest_progress(tmp_path).best_step == 40


def test_the_best_of_an_older_kept_file_is_kept_too(tmp_path):
    model, optimizer = build()
    checkpoints = open_in(tmp_path, model, optimizer, keep=2)
    for step, best in ((10, 10), (20, 10), (30, 30)):
        checkpoints.save(Progress(step=step, best_step=best, best_value=0.5))
    # Should step 30 be damaged and deleted, step 20 still finds its best.
    (tmp_path / "step-00000030.npz").unlink()
    position = restore_latest(tmp_path, open_in(tmp_path, model, optimizer))
    assert checkpoints.restore(position.best_step).step == 10


def saved_file(tmp_path):
    model, optimizer = build()
    checkpoints = open_in(tmp_path, model, optimizer)
    for step in (10, 20):
        checkpoints.save(Progress(step=step))
    return checkpoints, tmp_path / "step-00000020.npz", model, optimizer


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_named_with_the_way_out(tmp_path, share):
    checkpoints, path, *_ = saved_file(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    facts = (path, "damaged", "delete step-00000020.npz", "step 10")
    with refused(CheckpointError, *facts):
        restore_latest(tmp_path, checkpoints)


def test_a_flipped_bit_in_a_variable_is_found(tmp_path):
    checkpoints, path, model, optimizer = saved_file(tmp_path)
    before = fill(model, optimizer, seed=3)
    content = bytearray(path.read_bytes())
    with np.load(path) as file:
        kernel = file["model/0000"].tobytes()
    content[content.index(kernel) + 5] ^= 4
    path.write_bytes(bytes(content))
    with refused(CheckpointError, path, "damaged"):
        restore_latest(tmp_path, checkpoints)
    np.testing.assert_array_equal(model.variables[0].numpy(), before[0])


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    checkpoints, path, *_ = saved_file(tmp_path)
    path.write_text("hello")
    with refused(CheckpointError, path, "damaged"):
        restore_latest(tmp_path, checkpoints)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    _, path, model, optimizer = saved_file(tmp_path)
    other = open_in(tmp_path, model, optimizer, run="student/seed-1")
    with refused(CheckpointError, path, "student/seed-1", "of run", "--workdir"):
        restore_latest(tmp_path, other)


def test_another_shape_is_refused_and_nothing_is_changed(tmp_path):
    _, path, *_ = saved_file(tmp_path)
    model, optimizer = build(units=5)
    before = fill(model, optimizer, seed=3)
    facts = (path, model.variables[0].path, (3, 5), (3, 4), "--workdir")
    with refused(CheckpointError, *facts):
        restore_latest(tmp_path, open_in(tmp_path, model, optimizer))
    np.testing.assert_array_equal(model.variables[0].numpy(), before[0])


def test_another_number_of_variables_is_refused(tmp_path):
    _, path, *_ = saved_file(tmp_path)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    with refused(CheckpointError, path, "8 variables", 22, "--workdir"):
        restore_latest(tmp_path, open_in(tmp_path, model, optimizer))


def test_a_full_disk_keeps_the_older_checkpoints(small_disk):
    model, optimizer = build()
    checkpoints = open_in(small_disk, model, optimizer)
    checkpoints.save(Progress(step=10))
    # One free page: less than a checkpoint.
    free = os.statvfs(small_disk).f_bavail - 1
    (small_disk / "other").write_bytes(bytes(free * 4096))
    path = small_disk / "step-00000020.npz"
    with refused(StorageError, path, os.strerror(errno.ENOSPC)):
        checkpoints.save(Progress(step=20))
    assert restore_latest(small_disk, checkpoints).step == 10
    assert not list(small_disk.glob(".writing-*"))


def three_files(tmp_path, *, best: tuple[int, int, int]):
    """Checkpoints of the steps 10, 20 and 30, each with its own values and its best."""
    model, optimizer = build()
    checkpoints = open_in(tmp_path, model, optimizer, keep=3)
    values = {}
    for step, of_step in zip((10, 20, 30), best, strict=True):
        values[step] = fill(model, optimizer, seed=step)
        checkpoints.save(Progress(step=step, best_step=of_step, best_value=0.5))
    fill(model, optimizer, seed=99)
    return checkpoints, values, (*model.variables, *optimizer.variables)


def spoil(path):
    content = bytearray(path.read_bytes())
    # More than the parts of an archive that no checksum is of, such as a date.
    for place in range(len(content) // 2, len(content) // 2 + 100):
        content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damaged", "best", "goes_on"),
    [
        ((), (10, 10, 10), 30),
        ((30,), (10, 10, 10), 20),
        ((30, 20), (10, 10, 10), 10),
        # The best of the two newest is lost, and with it they are.
        ((20,), (10, 20, 20), 10),
        # It is known to nobody that comes later.
        ((10,), (10, 20, 20), 30),
    ],
)
def test_a_training_goes_on_from_the_newest_that_is_whole(
    tmp_path, capsys, damaged, best, goes_on
):
    checkpoints, values, variables = three_files(tmp_path, best=best)
    for step in damaged:
        spoil(tmp_path / f"step-{step:08d}.npz")
    assert newest_intact(tmp_path) == goes_on
    position = checkpoints.restore(goes_on)
    for variable, value in zip(variables, values[goes_on], strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert checkpoints.restore(position.best_step).step == position.best_step
    aside = [f"set-aside-step-{s:08d}.npz" for s in (10, 20, 30) if s > goes_on]
    kept = [f"step-{s:08d}.npz" for s in (10, 20, 30) if s <= goes_on]
    assert sorted(path.name for path in tmp_path.iterdir()) == aside + kept
    told = capsys.readouterr().err
    assert bool(told) == bool(aside)
    assert_states(told, *aside)
    # What comes next is kept, although what was set aside was of later steps.
    checkpoints.save(Progress(step=goes_on + 5, best_step=goes_on))
    assert newest_intact(tmp_path) == goes_on + 5


def test_the_only_checkpoint_is_not_set_aside(tmp_path):
    model, optimizer = build()
    open_in(tmp_path, model, optimizer).save(Progress(step=10, best_step=10))
    path = tmp_path / "step-00000010.npz"
    spoil(path)
    with refused(CheckpointError, path, "damaged", f"delete {path.name}", "anew"):
        newest_intact(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(tmp_path):
    assert newest_intact(tmp_path / "none") == 0
