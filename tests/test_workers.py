"""Workers in processes of their own: they train like one, and survive each other."""

import json
import signal
import time

import numpy as np
import pytest

from tests import groups, runs

LONG = (
    "--set=seeds=[0]",
    "--set=teacher.train.steps=4000",
    "--set=student.train.steps=20",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    return runs.write_config(tmp_path_factory.mktemp("config"), tfds_dir)


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    """The workdir of the same run in one process."""
    workdir = tmp_path_factory.mktemp("alone") / "workdir"
    code, _, err = runs.finish(runs.start("run", config, workdir, *groups.SMALL))
    assert code == 0, err
    return workdir


def state(workdir, training, step):
    """Everything that is restored at a step, as arrays by name."""
    path = workdir / training / "checkpoints" / f"step-{step:08d}.npz"
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "header"}


def lines(workdir, training):
    """The lines of a training without measured times."""
    text = (workdir / training / "metrics.jsonl").read_text()
    return [
        {name: value for name, value in line.items() if not name.startswith("perf/")}
        for line in map(json.loads, text.splitlines())
    ]


def assert_same_training(workdir, expected, *, exactly=False):
    tolerance = 0 if exactly else 1e-5
    trainings = {"teacher": 40, "student/seed-0": 20, "baseline/seed-0": 20}
    for training, step in trainings.items():
        ours, theirs = (state(path, training, step) for path in (workdir, expected))
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=0, atol=tolerance)
        for line, other in zip(
            lines(workdir, training), lines(expected, training), strict=True
        ):
            assert line == pytest.approx(other, abs=tolerance, rel=tolerance)


def test_two_workers_train_like_one_process(config, alone, tmp_path):
    workdir = tmp_path / "workdir"
    group = groups.finish(tmp_path, 2, "run", config, workdir, *groups.SMALL)
    assert_same_training(workdir, alone)
    ours, theirs = (
        json.loads((w / "results.json").read_text()) for w in (workdir, alone)
    )
    for role, entry in theirs["models"].items():
        assert ours["models"][role]["test"]["errors"] == entry["test"]["errors"]
    # One writer, and nobody else's files.
    assert sorted(path.name for path in workdir.iterdir()) == sorted(
        path.name for path in alone.iterdir()
    )
    assert "gain over baseline" in group.out(0)
    assert (group.out(1), "step" in group.err(1)) == ("", False)


@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_worker_is_named_by_the_others_and_the_next_start_goes_on(
    config, alone, tmp_path, rank
):
    workdir, other = tmp_path / "workdir", 1 - rank
    with groups.running(tmp_path, 2, "run", config, workdir, *groups.SMALL) as group:
        group.wait_for(0, "step 25/40")
        group.workers[rank].kill()
        died = time.monotonic()
        assert group.codes(60) == {rank: -signal.SIGKILL, other: 138}
        assert time.monotonic() - died < 60
    title = f"worker-{rank} ({group.addresses[rank]}) was lost"
    assert title in group.err(other)
    groups.finish(tmp_path, 2, "run", config, workdir, *groups.SMALL)
    assert_same_training(workdir, alone)
