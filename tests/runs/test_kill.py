"""A killed run started again ends as if nothing had happened."""

import json
import pathlib
import re
import shutil
import signal
import time

import numpy as np
import pytest

from tests.helpers import whole_run
from tests.helpers.kills import kill_between_two_saves
from tests.helpers.messages import assert_a_line_states, assert_states
from trainer.storage import seal
from trainer.train.events import read_metrics

pytestmark = pytest.mark.slow

# Long enough to be caught between two saves: saves come every 100 steps, lines every 5.
LONG = (
    "--set=seeds=[0]",
    "--set=teacher.train.steps=600",
    "--set=teacher.train.mixup=0.4",
    "--set=teacher.train.cutmix=0.4",
    "--set=student.train.steps=600",
    "--set=runtime.save_every_steps=100",
    "--set=runtime.eval_every_steps=300",
)
FINETUNE = """
[finetune]
global_batch_size = 24
steps = 600
cutmix = 1
"""
TRAININGS = ("teacher", "student/seed-0", "baseline/seed-0", "finetune/seed-0")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tfds_dir) -> tuple[pathlib.Path, pathlib.Path]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    config = whole_run.write_config(folder, tfds_dir)
    config.write_text(config.read_text() + FINETUNE)
    code, _, err = whole_run.do("run", config, folder / "workdir", *LONG)
    assert code == 0, err
    return config, folder / "workdir"


def without_rates(path: pathlib.Path) -> list[dict]:
    """The lines of a metrics file but for the measured time."""
    return [
        {name: value for name, value in line.items() if name != "perf/examples_per_sec"}
        for line in map(json.loads, path.read_text().splitlines())
    ]


def test_killed_in_each_training_it_ends_bit_for_bit_the_same(uninterrupted, tmp_path):
    config, expected = uninterrupted
    workdir = tmp_path / "workdir"
    for name in TRAININGS:
        process = whole_run.start("run", config, workdir, *LONG)
        step = kill_between_two_saves(process, workdir / name)
        checkpoints = sorted((workdir / name / "checkpoints").glob("step-*.npz"))
        saved = int(checkpoints[-1].stem.removeprefix("step-"))
        assert saved < step, "killed at a save: nothing is repeated"
        assert not (workdir / name / "model.keras").exists()
    code, _, err = whole_run.do("run", config, workdir, *LONG)
    assert code == 0, err

    for name in TRAININGS:
        for file in ("last.keras", "model.keras"):
            pairs = zip(
                whole_run.weights(workdir / name / file),
                whole_run.weights(expected / name / file),
                strict=True,
            )
            for actual, wanted in pairs:
                np.testing.assert_array_equal(actual, wanted, err_msg=f"{name}/{file}")
        lines = without_rates(workdir / name / "metrics.jsonl")
        assert lines == without_rates(expected / name / "metrics.jsonl")
        assert [line["step"] for line in lines] == list(range(5, 601, 5))
    ours, theirs = (
        seal.parse((folder / "results.json").read_bytes())
        for folder in (workdir, expected)
    )
    for results in (ours, theirs):
        for entry in results["models"].values():
            del entry["train_examples_per_sec"]
    assert ours == theirs


def test_ctrl_c_saves_a_checkpoint_and_ends_with_130(uninterrupted, tmp_path):
    config, _ = uninterrupted
    # Where these tests run in the background, children would ignore it too.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = whole_run.start("teacher", config, tmp_path / "workdir", *LONG)
    signal.signal(signal.SIGINT, before)
    folder = tmp_path / "workdir" / "teacher"
    while len(read_metrics(folder / "metrics.jsonl")) < 30:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, _, err = whole_run.finish(process)
    assert code == 130
    step = max(int(path.stem[5:]) for path in (folder / "checkpoints").iterdir())
    assert step > 145
    assert_states(err.splitlines()[-1], "trainer:", step, "saved")
    assert "Traceback" not in err
    # It is held no more, and a person's wish is no start in vain.
    left = {path.name for path in (tmp_path / "workdir").iterdir()}
    assert left == {"config.json", "teacher"}
    code, _, err = whole_run.do("teacher", config, tmp_path / "workdir", *LONG)
    assert code == 0, err
    assert_a_line_states(err, "teacher", f"from step {step}")


# The first file that tells what is being written, and those that have to be as an
# undisturbed process leaves them; TensorFlow gives the graph of a SavedModel a new id.
WRITTEN = {
    "report": ("report/*.png", ["report/*"]),
    "export": ("export/**/variables/*", ["export/**/variables/*", "export/*.json"]),
    "registry": ("registry/small/.writing-*/*/*", ["registry/small/1/**/variables/*"]),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_killed_while_it_writes_it_ends_as_undisturbed(uninterrupted, tmp_path, name):
    config, finished = uninterrupted
    first, compared = WRITTEN[name]
    ends = []
    for is_disturbed in (False, True):
        folder = tmp_path / f"disturbed-{is_disturbed}"
        workdir = folder / "workdir"
        shutil.copytree(finished, workdir)
        more = LONG
        if name == "registry":
            root = f"--set=registry.root={str(workdir / 'registry')!r}"
            more = ("register", *LONG, root)
        if is_disturbed:
            kill_once_there(
                whole_run.start(name, config, workdir, *more), workdir, first
            )
        code, _, err = whole_run.do(name, config, workdir, *more, draws=True)
        assert code == 0, err
        assert not list(workdir.rglob(".writing-*"))
        ends.append(
            {
                path.relative_to(workdir).as_posix(): untimed(path.read_bytes())
                for pattern in compared
                for path in workdir.glob(pattern)
                if path.is_file()
            }
        )
    undisturbed, disturbed = ends
    assert undisturbed
    assert disturbed == undisturbed


def untimed(content: bytes) -> bytes:
    """Without the measured times, and the bytes of a graph, of a JSON file."""
    return re.sub(rb'"(ms_per_example|num_bytes|checksum)": [^\n]*', b"", content)


def kill_once_there(process, folder: pathlib.Path, pattern: str) -> None:
    """Sends SIGKILL once there is a file of that name, half written or not."""
    deadline = time.monotonic() + 240
    while not any(path.is_file() for path in folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
