"""What TensorBoard shows is what metrics.jsonl and the report's folder hold."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.helpers import whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.finished_run import write_workdir
from tests.helpers.messages import refused
from tests.helpers.repository import REPOSITORY
from trainer import config, main, stages
from trainer.storage import files
from trainer.train import tensorboard
from trainer.train.events import MetricsFile, read_metrics


def shown(folder: pathlib.Path) -> EventAccumulator:
    """The events of a folder as TensorBoard reads them, none left out."""
    # The reader drops nothing but by these limits; 0 is no limit.
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


def scalars(folder: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every scalar in the order of the file, by tag."""
    events = shown(folder)
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def numbers(path: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """The same of a metrics file, in float32 as TensorBoard keeps it."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in read_metrics(path):
        for tag in line.keys() - {"step"}:
            value = float(np.float32(line[tag]))
            found.setdefault(tag, []).append((line["step"], value))
    return found


def train_teacher(tmp_path: pathlib.Path, tfds_dir: str) -> pathlib.Path:
    """Trains the small run's teacher, or goes on with it; gives its folder."""
    file = whole_run.write_config(tmp_path, tfds_dir)
    assert main.main(whole_run.command("teacher", file, tmp_path / "workdir")) == 0
    return tmp_path / "workdir" / "teacher"


@pytest.mark.slow
def test_every_number_of_a_training_is_shown_once_also_after_a_resume(
    tmp_path, tfds_dir
):
    folder = train_teacher(tmp_path, tfds_dir)
    first = numbers(folder / "metrics.jsonl")
    assert [step for step, _ in first["train/loss"]] == list(range(5, 61, 5))
    assert {"train/learning_rate", "eval/accuracy", "perf/examples_per_sec"} <= set(
        first
    )
    assert scalars(folder / "tensorboard") == first

    # As after a kill between the save of step 40 and the end.
    for name in ("model.keras", "last.keras", "checkpoints/step-00000060.npz"):
        (folder / name).unlink()
    train_teacher(tmp_path, tfds_dir)
    resumed = numbers(folder / "metrics.jsonl")
    rate = "perf/examples_per_sec"
    assert resumed[rate][:8] == first[rate][:8]
    assert resumed[rate][8:] != first[rate][8:]
    assert scalars(folder / "tensorboard") == resumed
    assert len(list((folder / "tensorboard").iterdir())) == 1


def test_lines_past_the_restored_step_are_not_shown(tmp_path):
    path, folder = tmp_path / "metrics.jsonl", tmp_path / "tensorboard"

    def opened(last_step: int) -> MetricsFile:
        copies = [tensorboard.EventFile(folder).add_scalars]
        return MetricsFile(path, last_step=last_step, copies=copies)

    lines = opened(0)
    for step in (50, 100, 150):
        lines.write(step, {"train/loss": step / 8})
    lines = opened(100)
    assert scalars(folder) == {"train/loss": [(50, 6.25), (100, 12.5)]}
    lines.write(150, {"train/loss": 0.5})
    lines.write(200, {"train/loss": 0.25, "eval/accuracy": 0.75})
    assert scalars(folder) == {
        "train/loss": [(50, 6.25), (100, 12.5), (150, 0.5), (200, 0.25)],
        "eval/accuracy": [(200, 0.75)],
    }


@pytest.mark.slow
def test_without_the_package_a_run_trains_profiles_and_writes_no_events(
    tmp_path, tfds_dir
):
    file = whole_run.write_config(tmp_path, tfds_dir)
    words = whole_run.command(
        "teacher", file, tmp_path / "workdir", "--set=runtime.profile_steps=[5, 10]"
    )
    words += ["--set=teacher.train.steps=10"]
    code = (
        "import os, sys; sys.modules['tensorboard'] = None\n"
        "from trainer import main\n"
        f"code = main.main({words!r})\n"
        "sys.stderr.flush(); os._exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "workdir" / "teacher"
    assert [line["step"] for line in read_metrics(folder / "metrics.jsonl")] == [5, 10]
    assert not list(tmp_path.rglob("*tfevents*"))
    assert not (folder / "tensorboard").exists()
    assert len(list((folder / "profile").rglob("*.xplane.pb"))) == 1


def test_the_report_s_figures_are_shown_as_they_are_and_once(tmp_path, tfds_dir):
    workdir = tmp_path / "workdir"
    write_workdir(workdir, class_names=["a", "b", "c"])
    settings = config.load(str(whole_run.write_config(tmp_path, tfds_dir)))
    session = whole_run.session(settings, workdir, strategy_of(1))
    for _ in range(2):
        stages.STAGES["report"](session)
    folder = workdir / "report"
    events = shown(folder / "tensorboard")
    pngs = sorted(folder.glob("*.png"))
    assert len(pngs) > 2
    assert sorted(events.Tags()["images"]) == [png.stem for png in pngs]
    for png in pngs:
        (image,) = events.Images(png.stem)
        assert image.encoded_image_string == png.read_bytes()
        with PIL.Image.open(png) as picture:
            assert (image.width, image.height) == picture.size


def test_a_folder_removed_meanwhile_does_not_end_the_training(tmp_path):
    board = tensorboard.EventFile(tmp_path / "tensorboard")
    board.add_scalars(5, {"train/loss": 2.0})
    shutil.rmtree(tmp_path / "tensorboard")
    board.add_scalars(10, {"train/loss": 1.0})
    assert scalars(tmp_path / "tensorboard") == {"train/loss": [(10, 1.0)]}


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "events.out.tfevents.1.host").write_text("of an earlier process")
    tensorboard.EventFile(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "events.out.tfevents.1.host").exists()


def test_a_full_disk_is_told_as_for_other_files(small_disk):
    board = tensorboard.EventFile(small_disk)
    (small_disk / "filler").write_bytes(bytes(2**20 - 4096))
    many = {f"train/loss_{i}": 1.0 for i in range(1000)}
    [path] = small_disk.rglob("*tfevents*")
    with refused(files.StorageError, path, os.strerror(errno.ENOSPC), "--workdir"):
        board.add_scalars(5, many)
