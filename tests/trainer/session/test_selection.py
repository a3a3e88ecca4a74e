"""Imbalanced rows: weighted classes, and checkpoints that another metric selects."""

import pathlib

import numpy as np
import pytest
from etils import epath

import trainer
from tests.helpers import configs, whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_a_line_states, refused
from trainer.config import ConfigError, load
from trainer.config.selection import check_classes
from trainer.session.predictions import steps
from trainer.session.selection import check_metric
from trainer.train.events import read_metrics

NUM_ROWS = 600
TRAINED = "train = {global_batch_size = 16, steps = 20}"


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Points of two classes, of which the second is 8 %, and near the first."""
    rng = np.random.default_rng(0)
    labels = (rng.random(NUM_ROWS) < 0.08).astype(int)
    return rng.normal(size=(NUM_ROWS, 2)) + labels[:, None], labels


def write_config(folder: pathlib.Path) -> pathlib.Path:
    """A config of a table of them."""
    lines = [f"{x},{y},{label}" for (x, y), label in zip(*drawn(), strict=True)]
    (folder / "points.csv").write_text("\n".join(["x,y,label", *lines]) + "\n")
    text = configs.POINTS.format(folder=folder).replace("TEACHER", TRAINED)
    path = folder / "run.toml"
    path.write_text(text[: text.index("[study")].replace("steps = 20", "steps = 60"))
    return path


def baseline(path: pathlib.Path, workdir: pathlib.Path, *sets: str):
    """Trains a baseline: its folder, and its lines with a validation."""
    code, _, err = whole_run.do(
        "baseline", path, workdir, "--set=student.train.learning_rate=0.01", *sets
    )
    assert code == 0, err
    folder = epath.Path(workdir) / "baseline/seed-0"
    lines = read_metrics(folder / "metrics.jsonl")
    return folder, [line for line in lines if "eval/accuracy" in line]


def told(lines: list[dict[str, float]]) -> list[dict[str, float]]:
    """The lines but for the speed."""
    return [
        {name: x for name, x in line.items() if not name.startswith("perf/")}
        for line in lines
    ]


@pytest.mark.slow
def test_weighted_classes_gain_balanced_accuracy_which_selects(tmp_path):
    path = write_config(tmp_path)
    chosen = "--set=student.train.select_by=balanced_accuracy"
    sets = ("--set=data.class_weights=balanced", chosen)
    _, plain = baseline(path, tmp_path / "plain")
    folder, lines = baseline(path, tmp_path / "weighted", *sets)
    values = [line["eval/balanced_accuracy"] for line in lines]
    assert max(values) > 0.1 + max(line["eval/balanced_accuracy"] for line in plain)
    assert {"eval/macro_f1", "eval/auc"} <= set(lines[0])
    best = lines[int(np.argmax(values))]["step"]
    assert steps(folder)["best"] == best
    for file in ("checkpoints/step-00000060.npz", "last.keras", "model.keras"):
        (folder / file).unlink()
    again = baseline(path, folder.parent.parent, *sets)[1]
    assert told(again) == told(lines)
    assert steps(folder)["best"] == best


def test_metrics_that_cannot_be_had_are_refused(tmp_path):
    path = write_config(tmp_path)
    setting = "teacher.train.select_by"
    with refused(ConfigError, setting, "'kl'", "'accuracy'"):
        load(str(path), [f"{setting}=kl"])
    with refused(ConfigError, "sweep.metric", "'auc'", "two classes", 3):
        check_classes("sweep.metric", "auc", 3)
    with refused(ConfigError, "a.select_by", "'top_5_accuracy'", "6 classes", 5):
        check_classes("a.select_by", "top_5_accuracy", 5)
    check_classes("a.select_by", "auc", 2)
    few = "--set=student.train.select_by=top_5_accuracy"
    code, _, err = whole_run.do("baseline", path, tmp_path / "work", few)
    assert code == 2
    assert_a_line_states(err, "student.train.select_by", "'top_5_accuracy'", 2)


def test_validation_and_teacher_are_asked_before_they_select(tmp_path):
    few = load(str(write_config(tmp_path)), ["data.validation_split=train[362:364]"])
    networks = whole_run.session(few, tmp_path / "work", strategy_of(1)).networks
    assert len(set(networks.datasets.validation.labels)) == 1
    with refused(ConfigError, "student.train.select_by", "'auc'", "'train[362:364]'"):
        check_metric(networks, "auc", setting="student.train.select_by")
    # A teacher that is still to be trained will answer.
    check_metric(networks, "agreement", setting="sweep.metric")


@pytest.mark.slow
def test_a_program_weighs_classes_and_selects_by_agreement(tmp_path, capsys):
    points, labels = drawn()
    steps_of = {"global_batch_size": 16, "steps": 20}
    result = trainer.distill(
        "mlp",
        "mlp",
        (points.astype(np.float32), labels),
        epochs=1,
        batch_size=16,
        workdir=tmp_path / "work",
        config={
            "data": {"class_weights": {0: 1, 1: 9}},
            "teacher": {"train": steps_of},
            "student": {"train": {"select_by": "agreement"}},
            "runtime": {"steps_per_loop": 5, "eval_every_steps": 5},
        },
    )
    told = capsys.readouterr().err
    assert_a_line_states(told, "data.class_weights", "'0'", "'1'")
    assert_a_line_states(told, "student.train.select_by", "baseline", "'accuracy'")
    weights = result.metrics["class_weights"]
    assert weights["1"] == pytest.approx(9 * weights["0"])
    assert result.metrics["select_by"] == "agreement"
    for column in ("balanced acc. %", "macro F1 %", "AUC"):
        assert column in result.table
    test = result.metrics["models"]["student"]["test"]
    assert test["balanced_accuracy"] == pytest.approx(np.mean(test["per_class_recall"]))
    folder = epath.Path(tmp_path / "work/student/seed-0")
    lines = [x for x in read_metrics(folder / "metrics.jsonl") if "eval/kl" in x]
    agreed = [line["eval/agreement"] for line in lines]
    assert steps(folder)["best"] == lines[int(np.argmax(agreed))]["step"]
