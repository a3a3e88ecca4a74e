"""Whole runs from folders of images and from tables."""

import contextlib
import json
import pathlib

import numpy as np
import pytest
from keras.models import load_model
from PIL import Image

from tests.helpers import drawn_images, groups, whole_run
from tests.helpers.configs import THREE_SPLITS, TRAININGS
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_a_line_states
from tests.helpers.pages import undrawn
from trainer import exit_codes, main
from trainer.config import load
from trainer.stages.baseline import baseline_training
from trainer.stages.check import check
from trainer.stages.student import distillation, online
from trainer.storage import seal
from trainer.train.events import read_metrics

# Until the models of this package know tables, one that does.
OWN_MODEL = """
import keras

def regression(input_shape, num_classes, units):
    features = keras.Input(input_shape)
    hidden = keras.layers.Dense(units, activation="relu")(features)
    return keras.Model(features, keras.layers.Dense(num_classes)(hidden))
"""


def run(
    folder: pathlib.Path, text: str, *overrides: str, draws: bool = False
) -> pathlib.Path:
    """Runs a config, and gives its workdir."""
    config = folder / "run.toml"
    config.write_text(text)
    workdir = folder / f"workdir{len(list(folder.glob('workdir*')))}"
    sets = [f"--set={override}" for override in overrides]
    with contextlib.nullcontext() if draws else undrawn():
        assert main.main(whole_run.command("run", config, workdir, *sets)) == 0
    return workdir


@pytest.mark.slow
def test_a_table_runs_from_rows_to_report(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 2))
    lines = [f"{x},{y},{'in' if x * y > 0 else 'out'}" for x, y in points]
    (tmp_path / "points.csv").write_text("\n".join(["x,y,label", *lines]) + "\n")
    (tmp_path / "own_table_model.py").write_text(OWN_MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = THREE_SPLITS.format(dataset=f"csv:{tmp_path}/points.csv") + TRAININGS.format(
        model="own_table_model:regression",
        teacher_options="options.units = 32",
        student_options="options.units = 4",
    )
    workdir = run(tmp_path, text, draws=True)
    with np.load(workdir / "predictions.npz") as predictions:
        assert len(predictions["example_rows"]) == 0
        assert predictions["class_names"].tolist() == ["in", "out"]
        ids = predictions["ids"]
        assert len(ids) == 40
    with np.load(workdir / "evaluation" / "rows.npz") as kept:
        assert kept["names"].tolist() == ["x", "y"]
        rows = kept["rows"]
        assert len(rows)
        np.testing.assert_allclose(kept["values"], points[ids[rows]], rtol=1e-6)
    pictures = {path.stem for path in (workdir / "report").glob("*.png")}
    assert pictures == {"learning_curves", "confusion_matrices", "reliability"}
    assert (workdir / "report" / "index.html").exists()
    kept = {path.name for path in (workdir / "files").iterdir()}
    assert kept == {"dataset.json", "tables.json"}


@pytest.mark.slow
def test_a_table_may_move_under_a_half_trained_run(tmp_path, monkeypatch, capsys):
    rows = "".join(f"{i},{i % 7},{i % 2}\n" for i in range(60))
    table = tmp_path / "rows.csv"
    table.write_text("x,y,label\n" + rows)
    options = {"teacher_options": "", "student_options": ""}
    text = THREE_SPLITS + TRAININGS.format(model="mlp", **options)

    def teacher(dataset: pathlib.Path, name: str) -> int:
        config = tmp_path / "run.toml"
        config.write_text(text.format(dataset=f"csv:{dataset}"))
        return main.main(whole_run.command("teacher", config, tmp_path / name))

    assert teacher(table, "one") == teacher(table, "other") == 0
    for path in (tmp_path / "one" / "teacher").rglob("*"):
        if path.name in ("model.keras", "last.keras", "step-00000012.npz"):
            path.unlink()
    moved = table.rename(tmp_path / "moved.csv")
    assert teacher(moved, "one") == 0
    assert_a_line_states(capsys.readouterr().err, "teacher", "from step 6")
    models = [
        load_model(tmp_path / name / "teacher" / "model.keras").get_weights()
        for name in ("one", "other")
    ]
    for found, wanted in zip(*models, strict=True):
        np.testing.assert_array_equal(found, wanted)
    moved.write_text("x,y,label\n" + rows.replace("7,0,1", "7,0,0"))
    assert teacher(moved, "one") == 2
    assert_a_line_states(capsys.readouterr().err, moved, "tables.json", "--workdir")


def folder_run(
    folder: pathlib.Path, *overrides: str, draws: bool = False
) -> pathlib.Path:
    if not (folder / "drawn").exists():
        drawn_images.write(folder / "drawn", 120, size=24)
    text = THREE_SPLITS.format(dataset=f"folder:{folder}/drawn") + TRAININGS.format(
        model="cnn",
        teacher_options="options.filters = [8]",
        student_options="options.filters = [4]",
    )
    return run(folder, text, "data.image_size=16", *overrides, draws=draws)


def results(workdir: pathlib.Path) -> dict[str, object]:
    """All results but for how fast they came."""
    found = seal.parse((workdir / "results.json").read_bytes())
    for model in found["models"].values():
        del model["train_examples_per_sec"]
    return found


@pytest.mark.slow
def test_a_folder_gives_the_same_results_from_files_as_from_memory(tmp_path):
    shift = "data.augment='shift'"
    in_memory = folder_run(tmp_path, shift)
    in_files = folder_run(tmp_path, shift, "data.memory_budget_bytes=0", draws=True)
    assert results(in_files) == results(in_memory)
    assert len((in_files / "files" / "train.jsonl").read_text().splitlines()) == 120
    assert (in_files / "report" / "dark_knowledge.png").exists()


@pytest.mark.slow
def test_a_run_says_why_an_image_is_damaged_and_how_many_it_sets_aside(tmp_path):
    drawn_images.write(tmp_path / "drawn", 40, size=24)
    bad = next((tmp_path / "drawn").glob("*/0000.*"))
    bad.write_bytes(b"")
    text = THREE_SPLITS.format(dataset=f"folder:{tmp_path}/drawn") + TRAININGS.format(
        model="cnn",
        teacher_options="options.filters = [8]",
        student_options="options.filters = [4]",
    )
    config = tmp_path / "run.toml"
    config.write_text(text.replace("[data]\n", "[data]\nimage_size = 16\n"))
    words = ("teacher", config, tmp_path / "workdir")
    # In a process of its own, where TensorFlow knows another stack.
    code, _, err = whole_run.finish(whole_run.start(*words))
    assert code == exit_codes.UNUSABLE
    assert_a_line_states(err, bad, "JPEG", "PNG", "WebP", "damaged", "empty")
    code, _, err = whole_run.finish(
        whole_run.start(*words, "--set=data.skip_corrupt=true")
    )
    assert code == exit_codes.DONE, err
    assert_a_line_states(err, 1, "damaged", "set aside")


# Images without labels.


def unlabeled_run(folder: pathlib.Path, tfds_dir: str) -> tuple[str, list[str]]:
    """A config of 160 labelled digits and 80 images of noise, and what it overrides."""
    rng = np.random.default_rng(0)
    (folder / "noise").mkdir()
    for i in range(80):
        pixels = rng.integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "noise" / f"{i}.png")
    text = THREE_SPLITS.format(dataset="mnist_mini") + TRAININGS.format(
        model="mlp",
        teacher_options="options.hidden_sizes = [16]",
        student_options="options.hidden_sizes = [8]",
    )
    return text, [
        f"data.data_dir='{tfds_dir}'",
        "data.train_split='train[:160]'",
        "data.validation_split='train[160:240]'",
        "data.test_split='test[:80]'",
        f"data.unlabeled.dataset='folder:{folder}/noise'",
        "student.train.epochs=2",
    ]


def test_the_baseline_takes_the_student_s_steps_on_labelled_images(tmp_path, tfds_dir):
    text, overrides = unlabeled_run(tmp_path, tfds_dir)
    (tmp_path / "run.toml").write_text(text)
    overrides.append("data.exclude_labels=[3]")
    settings = load(str(tmp_path / "run.toml"), overrides)
    session = whole_run.session(settings, tmp_path / "workdir", strategy_of(1))
    check(session)
    labels = session.datasets.transfer.labels.tolist()
    num_labeled = len(session.datasets.labeled)
    assert labels == [*session.datasets.labeled.labels.tolist(), *[-1] * 80]
    assert 3 not in labels
    assert len(session.datasets.training) == 160 > num_labeled
    model = session.networks.build("student", 0)
    taught = distillation(session.networks, model, online(session.networks, [model]), 0)
    baseline = baseline_training(session.networks, model, 0)
    assert taught.examples is session.datasets.transfer
    assert baseline.examples is session.datasets.labeled
    # Two epochs of what the student sees, in batches of 16.
    assert taught.num_steps == baseline.num_steps == -(-2 * (num_labeled + 80) // 16)


@pytest.mark.slow
def test_a_run_with_images_without_labels_and_mixed_pairs(tmp_path, tfds_dir, capfd):
    text, overrides = unlabeled_run(tmp_path, tfds_dir)
    for name, distill in (("plain", "{}"), ("mixed", "{alpha = 1, mixup = 1}")):
        workdir = run(tmp_path, text, *overrides, f"distill={distill}")
        told = capfd.readouterr().err
        assert_a_line_states(told, "noise", 80, "28 x 28 x 1")
        lines = {
            role: read_metrics(workdir / role / "seed-0" / "metrics.jsonl")
            for role in ("student", "baseline")
        }
        assert [line[-1]["step"] for line in lines.values()] == [30, 30]
        assert all("train/accuracy" in line for line in lines["baseline"])
        measured = {"train/accuracy", "train/hard_loss"}
        for line in lines["student"]:
            assert measured & line.keys() == (measured if name == "plain" else set())
        found = json.loads((workdir / "results.json").read_text())
        assert found["models"]["student"]["test"]["examples"] == 80
        assert (workdir / "files" / "unlabeled" / "train.jsonl").exists()


@pytest.mark.slow
def test_two_workers_mix_images_without_labels_like_one_process(tmp_path, tfds_dir):
    text, overrides = unlabeled_run(tmp_path, tfds_dir)
    (tmp_path / "run.toml").write_text(text)
    for training, cutmix in (("teacher", 0.7), ("student", 0.3)):
        overrides.append(f"{training}.train.cutmix={cutmix}")
    overrides.append("student.train.mixup=0.5")
    sets = [f"--set={override}" for override in overrides]
    config, workdirs = tmp_path / "run.toml", (tmp_path / "two", tmp_path / "one")
    groups.finish(tmp_path / "group", 2, "run", config, workdirs[0], *sets)
    assert whole_run.do("run", config, workdirs[1], *sets)[0] == 0
    two, one = (
        [
            line["train/loss"]
            for path in (
                "teacher/metrics.jsonl",
                "student/seed-0/metrics.jsonl",
                "baseline/seed-0/metrics.jsonl",
            )
            for line in read_metrics(workdir / path)
        ]
        for workdir in workdirs
    )
    np.testing.assert_allclose(two, one, rtol=1e-4)


@pytest.mark.slow
def test_two_workers_stream_parts_of_what_one_process_streams(tmp_path, tfds_dir):
    text, overrides = unlabeled_run(tmp_path, tfds_dir)
    (tmp_path / "run.toml").write_text(text)
    overrides = [x for x in overrides if "unlabeled" not in x] + [
        "data.memory_budget_bytes=0",
        "data.shuffle_window=40",
        "data.read_parts=3",
        "data.exclude_labels=[3]",
    ]
    sets = [f"--set={override}" for override in overrides]
    config, workdirs = tmp_path / "run.toml", (tmp_path / "two", tmp_path / "one")
    groups.finish(tmp_path / "group", 2, "baseline", config, workdirs[0], *sets)
    assert main.main(whole_run.command("baseline", config, workdirs[1], *sets)) == 0
    two, one = (
        [
            line["train/loss"]
            for line in read_metrics(workdir / "baseline/seed-0/metrics.jsonl")
        ]
        for workdir in workdirs
    )
    np.testing.assert_allclose(two, one, rtol=1e-4)
    for workdir in workdirs:
        # Those of the digits to train on, whose label is needed first, and to select.
        assert len(list((workdir / "files").glob("labels-*.json"))) == 2
