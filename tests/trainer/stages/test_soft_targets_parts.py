"""Caches that independent processes build side by side, and runs that wait for them."""

import numpy as np
import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.caches import THREE_VIEWS, act, build, contents
from tests.helpers.messages import assert_states
from trainer import main, soft_targets

ONLINE = "--set=distill.soft_targets=online"


def taught(config, workdir, *more):
    """The workdir, once it has the teacher that independent processes ask."""
    assert main.main(whole_run.command("teacher", config, workdir, *more)) == 0
    return workdir


def shared(workdir):
    """The files of the caches but for locks."""
    found = contents(workdir / "soft_targets")
    return {
        name: held
        for name, held in found.items()
        if not name.endswith(("/building", "/deciding"))
    }


@pytest.mark.slow
def test_parts_are_the_bytes_of_a_whole_build(config, three_views, tmp_path, capsys):
    workdir = taught(config, tmp_path, *THREE_VIEWS)
    folder = workdir / "soft_targets" / "train"
    for part, views in (("2/2", 2), ("1/2", 5)):  # of 5 shards
        assert act("build", config, workdir, *THREE_VIEWS, f"--part={part}") == 0
        assert len(list(folder.rglob("*.tfrecord"))) == 3 * views
    assert_states(capsys.readouterr().err, "6 of 15", "15 of 15")
    assert shared(workdir) == shared(three_views)
    # Nothing is left to a whole build, nor to a part that comes again.
    before = contents(folder)
    assert act("build", config, workdir, *THREE_VIEWS, "--part=1/2") == 0
    assert act("build", config, workdir, *THREE_VIEWS) == 0
    assert contents(folder) == before


@pytest.mark.slow
def test_a_part_is_built_beside_parts_and_not_beside_a_whole_build(
    config, tmp_path, capsys
):
    workdir = taught(config, tmp_path)
    folder = epath.Path(workdir / "soft_targets" / "train")
    with soft_targets.beside_others(folder):
        assert act("build", config, workdir) == 2
        assert_states(capsys.readouterr().err, folder, "one run at a time", "--wait")
        assert act("build", config, workdir, "--part=1/5") == 0
    with soft_targets.alone(folder):
        assert act("build", config, workdir, "--part=2/5") == 2
    assert len(list(folder.glob("*/*.tfrecord"))) == 1


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "1/0", "-1/2", "1/2/3", "a/b"])
def test_a_part_that_there_is_not_is_refused(config, built, part, capsys):
    assert act("build", config, built, f"--part={part}") == 2
    assert_states(capsys.readouterr().err, "--part", f"'{part}'", "2/8")


@pytest.mark.parametrize("flag", ["--part=1/2", "--wait"])
def test_of_a_live_teacher_there_are_no_parts(config, tmp_path, flag, capsys):
    assert act("build", config, tmp_path, ONLINE, flag) == 2
    assert_states(capsys.readouterr().err, "distill.soft_targets", "'online'")


def test_a_part_does_not_wait(config, built, capsys):
    assert act("build", config, built, "--part=1/2", "--wait") == 2
    assert_states(capsys.readouterr().err, "--part", "--wait")


@pytest.mark.slow
def test_a_student_waits_for_the_parts(config, tmp_path):
    workdir = taught(config, tmp_path)
    student = whole_run.start("student", config, workdir, "--wait")
    try:
        for line in student.stderr:
            if "waits for" in line:
                break
        for part in ("1/3", "2/3", "3/3"):
            assert student.poll() is None
            assert act("build", config, workdir, f"--part={part}") == 0
        _, told = student.communicate(timeout=120)
    finally:
        student.kill()
    assert student.returncode == 0, told
    assert build(config, tmp_path / "own") == 0
    assert main.main(whole_run.command("student", config, tmp_path / "own")) == 0
    model = "student/seed-0/model.keras"
    found, expected = (
        whole_run.weights(path / model) for path in (workdir, tmp_path / "own")
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
