"""A workdir in an object store holds what one on a disk does."""

import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests import drawn_images, runs, stores
from tests.test_checkpoint import build, fill, open_in
from trainer import data, events, files, main, models, workdir
from trainer.checkpoint import CheckpointError, Position
from trainer.config import DataConfig


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
    config = runs.write_config(tmp_path, tfds_dir)
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

    def write_half() -> None:
        with files.atomic_path(path) as temporary:
            assert temporary.suffix == ".keras"
            temporary.write_text("ne")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert not temporary_files(path)
    assert stores.contents(str(path)) == b"old"


def temporary_files(path: epath.Path) -> list[str]:
    """What writes of `path` have left on the local disk."""
    import tempfile

    return [
        str(p) for p in epath.Path(tempfile.gettempdir()).glob(f"alambic-*/{path.name}")
    ]


def test_what_a_store_refuses_is_told_as_of_a_disk():
    # TensorFlow has no such store, and says so when it is used.
    path = epath.Path("s3://bucket/run/config.json")
    with pytest.raises(
        files.StorageError,
        match=r"^s3://bucket/run/config\.json cannot be written: .*s3",
    ):
        files.write_text(path, "{}")
    with pytest.raises(files.StorageError, match=r"^s3://.* cannot be read: .*s3"):
        files.is_there(path)


def test_metrics_are_one_line_a_step_over_restarts(store):
    path = store / "teacher" / "metrics.jsonl"
    first = events.MetricsFile(path, last_step=0)
    for step in (50, 100, 150):
        first.write(step, {"train/loss": 1.0})
    resumed = events.MetricsFile(path, last_step=100)
    resumed.write(150, {"train/loss": 2.0})
    assert stores.contents(str(path)) == (
        b'{"step": 50, "train/loss": 1.0}\n'
        b'{"step": 100, "train/loss": 1.0}\n'
        b'{"step": 150, "train/loss": 2.0}\n'
    )


def test_checkpoints_come_back_and_old_ones_go(store):
    model, optimizer = build()
    checkpoints = open_in(store, model, optimizer)
    assert checkpoints.restore_latest() == Position()
    for step in (1, 2, 3, 4):
        values = fill(model, optimizer, seed=step)
        checkpoints.save(Position(step=step, best_step=1, best_accuracy=0.5))
    assert stores.listing(str(store)) == [f"step-{step:08}.npz" for step in (1, 3, 4)]
    fill(model, optimizer, seed=9)
    assert checkpoints.restore_latest().step == 4
    for variable, value in zip(
        (*model.variables, *optimizer.variables), values, strict=True
    ):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named_with_the_way_out(store, share):
    model, optimizer = build()
    checkpoints = open_in(store, model, optimizer)
    for step in (1, 2):
        checkpoints.save(Position(step=step))
    path = store / "step-00000002.npz"
    whole = stores.contents(str(path))
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        CheckpointError,
        match=r"^checkpoint ram://bucket/run/step-00000002\.npz is damaged.*"
        r"delete step-00000002\.npz there to go on from step 1",
    ):
        checkpoints.restore_latest()
    with pytest.raises(CheckpointError, match="ram://bucket/run/.* is missing"):
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
    with pytest.raises(ValueError, match=f"'{path}'.*"):
        models.load_weights(build(units=5)[0], path, setting="student.weights")
    with pytest.raises(ValueError, match="ram://bucket/no.keras': no such file"):
        models.load_weights(other, "ram://bucket/no.keras", setting="student.weights")


def test_the_lists_of_a_folder_hold_when_it_is_opened_again(store, tmp_path):
    drawn_images.write(tmp_path / "images", 48, size=32)
    settings = DataConfig(
        dataset=f"folder:{tmp_path / 'images'}",
        train_split="train[:60%]",
        validation_split="train[60%:80%]",
        test_split="train[80%:]",
    )
    first = data.open_source(settings, store / "files").read("train")
    assert stores.listing(str(store)) == ["files/train.jsonl"]
    drawn_images.write(tmp_path / "images" / "red_disc", 8, size=32)
    again = data.open_source(settings, store / "files")
    assert again.num_new == 1
    np.testing.assert_array_equal(again.read("train").ids, first.ids)


def test_a_test_of_writing_leaves_nothing_and_knows_no_free_bytes(store):
    assert workdir.try_writing(store / "a" / "b", num_bytes=10) is None
    assert not tf.io.gfile.exists(str(store))


def run(command: str, config: epath.Path, folder: object, *more: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main.main(runs.command(command, config, folder, *more)) == 0
    return out.getvalue()
