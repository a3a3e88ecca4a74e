"""A workdir in an object store holds what one on a disk does."""

import contextlib
import io
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests.helpers import configs, drawn_images, stores, whole_run
from tests.helpers.checkpoints import build, fill, open_in
from tests.helpers.messages import assert_a_line_states, refused
from trainer import data, main, models
from trainer.cluster import hold
from trainer.config import DataConfig
from trainer.storage import disk_space, files, workdir
from trainer.storage.lease import Lease
from trainer.train import events
from trainer.train.checkpoint import latest_progress
from trainer.train.checkpoint_file import CheckpointError, Progress, steps_of


def test_a_path_in_a_store_is_printed_as_the_user_writes_it():
    path = files.path_of("gs://bucket/run", setting="--workdir")
    assert str(path) == f"{path}" == "gs://bucket/run"
    folder = workdir.training_folder(path, "student", 3)
    assert (
        str(folder / workdir.METRICS) == "gs://bucket/run/student/seed-3/metrics.jsonl"
    )
    assert files.is_remote(folder)


def test_a_path_on_a_disk_stays_as_it_is():
    path = files.path_of("runs/gs:/[mine]", setting="--workdir")
    assert str(path) == "runs/gs:/[mine]"
    assert not files.is_remote(path)


@pytest.mark.parametrize("name", ["foo://bucket/run", "s3://bucket/run", "/gs/run"])
def test_a_store_that_cannot_be_reached_is_refused(
    name, tmp_path, tfds_dir, monkeypatch, capsys
):
    config = whole_run.write_config(tmp_path, tfds_dir)
    monkeypatch.chdir(tmp_path)
    assert main.main(["trainer", "run", f"--config={config}", f"--workdir={name}"]) == 2
    assert "--workdir must" in (told := capsys.readouterr().err)
    assert repr(name) in told
    assert [path.name for path in tmp_path.iterdir()] == [config.name]


def test_a_write_replaces_the_object_and_leaves_no_other(store):
    files.write_text(store / "results.json", "old")
    files.write_text(store / "results.json", "new")
    assert stores.listing(str(store)) == ["results.json"]
    assert stores.contents(f"{store}/results.json") == b"new"


def test_a_failed_write_leaves_the_old_object(store):
    path = store / "model.keras"
    files.write_text(path, "old")
    temporary = pathlib.Path()

    def write_half() -> None:
        nonlocal temporary
        with files.atomic_path(path) as temporary:
            assert temporary.suffix == ".keras"
            temporary.write_text("ne")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert not temporary.exists()
    assert stores.contents(str(path)) == b"old"


def test_what_a_store_refuses_is_told_as_of_a_disk():
    # TensorFlow has no such store, and says so when it is used.
    path = epath.Path("s3://bucket/run/config.json")
    with refused(files.StorageError, path, "written"):
        files.write_text(path, "{}")
    with refused(files.StorageError, path, "read"):
        files.exists(path)


def test_a_store_that_does_not_answer_is_not_taken_for_an_empty_one():
    silent = epath.Path("s3://bucket/run")
    with refused(files.StorageError, silent, "read"):
        latest_progress(silent / "teacher" / "checkpoints")
    with refused(files.StorageError, silent, "read"):
        list(files.walk(silent))


def test_all_files_under_a_folder_are_found(store):
    for name in ("a/b/c", "a/d"):
        files.write_text(store / name, "")
    found = sorted(str(path) for path in files.walk(store))
    assert found == [f"{store}/a/b/c", f"{store}/a/d"]
    assert list(files.walk(store / "no")) == []


def test_metrics_are_one_line_a_step_over_restarts(store):
    path = store / "teacher" / "metrics.jsonl"
    first = events.MetricsFile(path, last_step=0)
    for step in (50, 100, 150):
        first.write(step, {"train/loss": 1.0})
    assert stores.listing(str(store)) == []
    first.flush()
    resumed = events.MetricsFile(path, last_step=100)
    resumed.write(150, {"train/loss": 2.0})
    resumed.flush()
    assert stores.contents(str(path)) == (
        b'{"step": 50, "train/loss": 1.0}\n'
        b'{"step": 100, "train/loss": 1.0}\n'
        b'{"step": 150, "train/loss": 2.0}\n'
    )


def test_checkpoints_come_back_and_old_ones_go(store):
    model, optimizer = build()
    checkpoints = open_in(store, model, optimizer)
    assert steps_of(store) == []
    for step in (1, 2, 3, 4):
        values = fill(model, optimizer, seed=step)
        checkpoints.save(Progress(step=step, best_step=1, best_value=0.5))
    assert stores.listing(str(store)) == [f"step-{step:08}.npz" for step in (1, 3, 4)]
    fill(model, optimizer, seed=9)
    assert checkpoints.restore(steps_of(store)[-1]).step == 4
    for variable, value in zip(
        (*model.variables, *optimizer.variables), values, strict=True
    ):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named_with_the_way_out(store, share):
    model, optimizer = build()
    checkpoints = open_in(store, model, optimizer)
    for step in (1, 2):
        checkpoints.save(Progress(step=step))
    path = store / "step-00000002.npz"
    whole = stores.contents(str(path))
    path.write_bytes(whole[: int(share * len(whole))])
    with refused(CheckpointError, path, "damaged", "step-00000002.npz", "step 1"):
        checkpoints.restore(steps_of(store)[-1])
    with refused(CheckpointError, store / "step-00000007.npz", "missing"):
        checkpoints.restore(7)


def test_weights_and_whole_models_are_read_from_a_store(store):
    model = build()[0]
    with files.atomic_path(store / "model.keras") as temporary:
        model.save(temporary)
    other = build()[0]
    path = f"{store}/model.keras"
    models.load_weights(other, path, setting="student.weights")
    for mine, its in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)
    with refused(ValueError, path):
        models.load_weights(build(units=5)[0], path, setting="student.weights")
    with refused(ValueError, "'ram://bucket/no.keras'", "no such file"):
        models.load_weights(other, "ram://bucket/no.keras", setting="student.weights")


def test_the_lists_of_a_folder_hold_when_it_is_opened_again(store, tmp_path):
    drawn_images.write(tmp_path / "images", 48, size=32)
    settings = DataConfig(
        dataset=f"folder:{tmp_path / 'images'}",
        train_split="train[:60%]",
        validation_split="train[60%:80%]",
        test_split="train[80%:]",
        image_size=32,
    )
    first = data.open_source(settings, store / "files").read("train")
    assert stores.listing(str(store)) == ["files/train.jsonl"]
    drawn_images.write(tmp_path / "images", 49, size=32)
    again = data.open_source(settings, store / "files")
    assert again.num_new == 1
    np.testing.assert_array_equal(again.read("train").ids, first.ids)


def test_a_test_of_writing_leaves_nothing_and_knows_no_free_bytes(store):
    assert disk_space.try_writing(store / "a" / "b", num_bytes=10) is None
    assert not tf.io.gfile.exists(str(store))


CONFIG = configs.WHOLE.replace("seeds = [0, 1]", "seeds = [0]").replace(
    "steps = 60", "steps = 40"
)
TRAININGS = ("teacher", "student/seed-0", "baseline/seed-0")


def run(command: str, config: pathlib.Path, folder: object) -> tuple[int, str]:
    """Exit code and standard output."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main.main(whole_run.command(command, config, folder))
    return code, out.getvalue()


def without_speed(value: object) -> object:
    """What two runs of one config share."""
    if isinstance(value, dict):
        return {
            key: without_speed(inner)
            for key, inner in value.items()
            # The checksum is of the speed too.
            if "examples_per_sec" not in key and key != "checksum"
        }
    return (
        [without_speed(inner) for inner in value] if isinstance(value, list) else value
    )


def same_kind(names: list[str]) -> list[str]:
    """Event files are named after time and process."""
    return [name.partition("events.out")[0] for name in names]


def logits(contents: bytes) -> np.ndarray:
    return np.load(io.BytesIO(contents))["student_logits"]


@pytest.mark.slow
def test_a_run_in_a_store_leaves_what_a_run_on_a_disk_does(
    store, tmp_path, tfds_dir, monkeypatch
):
    monkeypatch.setattr(hold, "LEASE_SECS", 1.0)
    config = tmp_path / "small.toml"
    config.write_text(CONFIG.format(tfds_dir=tfds_dir))
    code, told = run("doctor", config, store)
    assert code == 0, told
    assert_a_line_states(told, store, "1.0 MB")
    assert "free" not in told
    assert not tf.io.gfile.exists(str(store))
    disk = tmp_path / "disk"
    assert run("run", config, disk)[0] == 0
    code, told = run("run", config, store)
    assert code == 0
    assert "report: ram://bucket/run/report/index.html" in told

    assert same_kind(stores.listing(str(store))) == same_kind(stores.listing(str(disk)))
    results = json.loads(stores.contents(f"{store}/results.json"))
    on_disk = json.loads((disk / "results.json").read_text())
    assert without_speed(results) == without_speed(on_disk)
    for name in TRAININGS:
        lines = events.read_metrics(store / name / "metrics.jsonl")
        kept = events.read_metrics(disk / name / "metrics.jsonl")
        assert len(lines) == 8
        assert without_speed(lines) == without_speed(kept)
    whole = stores.contents(f"{store}/predictions.npz")

    go_on_after_a_loss(config, store, on_disk)
    again = stores.contents(f"{store}/predictions.npz")
    np.testing.assert_array_equal(logits(whole), logits(again))


def go_on_after_a_loss(
    config: pathlib.Path, store: epath.Path, results: object
) -> None:
    """Takes the ends of the run and its last checkpoint away, and runs it again."""
    student = store / "student" / "seed-0"
    for name in ("model.keras", "last.keras", "checkpoints/step-00000040.npz"):
        (student / name).unlink()
    for name in ("predictions.npz", "results.json", "report/index.html"):
        (store / name).unlink()
    # Killed, it has not given back what it held.
    Lease(store, secs=60, hint="").take()
    assert latest_progress(student / "checkpoints").step == 20
    code, told = run("doctor", config, store)
    assert code == 0, told
    assert_a_line_states(told, "student seed 0", 20)
    assert run("run", config, store)[0] == 0
    found = json.loads(stores.contents(f"{store}/results.json"))
    assert without_speed(found) == without_speed(results)
    lines = events.read_metrics(student / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(5, 41, 5))


@pytest.mark.slow
def test_a_damaged_run_in_a_store_says_what_to_delete(
    store, tmp_path, tfds_dir, capsys
):
    config = tmp_path / "small.toml"
    config.write_text(CONFIG.format(tfds_dir=tfds_dir))
    assert run("teacher", config, store)[0] == 0
    (store / "teacher" / "model.keras").unlink()
    path = store / "teacher" / "checkpoints" / "step-00000040.npz"
    whole = stores.contents(str(path))
    path.write_bytes(whole[:-1000])
    assert run("teacher", config, store)[0] == 0
    assert_a_line_states(capsys.readouterr().err, path, "damaged")
    aside = path.with_name("set-aside-step-00000040.npz")
    assert stores.contents(str(aside)) == whole[:-1000]
    config.write_text(config.read_text().replace("steps = 40", "steps = 41"))
    assert run("teacher", config, store)[0] == 2
    facts = ("--workdir", store, "teacher.train.steps")
    assert_a_line_states(capsys.readouterr().err, *facts)
