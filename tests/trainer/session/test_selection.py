"""Imbalanced rows: weighted classes, and checkpoints that another metric selects."""

import pathlib

import numpy as np
import pytest
from etils import epath

from tests.helpers import configs, whole_run
from tests.helpers.messages import assert_a_line_states, refused
from trainer.config import ConfigError, load
from trainer.config.selection import check_classes
from trainer.session.predictions import steps
from trainer.train.events import read_metrics

NUM_ROWS = 600


def write_config(folder: pathlib.Path, names=("many", "few")) -> pathlib.Path:
    """A config of a table whose second class is 8 % of the rows, and near the first."""
    rng = np.random.default_rng(0)
    labels = (rng.random(NUM_ROWS) < 0.08).astype(int)
    points = rng.normal(size=(NUM_ROWS, 2)) + labels[:, None]
    lines = [
        f"{x},{y},{names[label]}" for (x, y), label in zip(points, labels, strict=True)
    ]
    (folder / "points.csv").write_text("\n".join(["x,y,label", *lines]) + "\n")
    text = configs.POINTS.format(folder=folder).replace("TEACHER", TRAINED)
    path = folder / "run.toml"
    path.write_text(text[: text.index("[study")].replace("steps = 20", "steps = 60"))
    return path


TRAINED = "train = {global_batch_size = 16, steps = 20}"


def baseline(path: pathlib.Path, workdir: pathlib.Path, *sets: str):
    """What is told, and the lines of validation, of a baseline's training."""
    code, _, err = whole_run.do(
        "baseline", path, workdir, "--set=student.train.learning_rate=0.01", *sets
    )
    assert code == 0, err
    folder = epath.Path(workdir) / "baseline/seed-0"
    lines = read_metrics(folder / "metrics.jsonl")
    return folder, [line for line in lines if "eval/accuracy" in line]


def test_weighted_classes_gain_balanced_accuracy_which_selects(tmp_path):
    path = write_config(tmp_path)
    weighted, by = "--set=data.class_weights=balanced", "student.train.select_by"
    _, plain = baseline(path, tmp_path / "plain")
    folder, lines = baseline(
        path, tmp_path / "weighted", weighted, f"--set={by}=balanced_accuracy"
    )
    values = [line["eval/balanced_accuracy"] for line in lines]
    assert max(values) > 0.1 + max(line["eval/balanced_accuracy"] for line in plain)
    assert {"eval/macro_f1", "eval/auc"} <= set(lines[0])
    best = lines[int(np.argmax(values))]["step"]
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


@pytest.mark.slow
def test_a_run_tells_weights_and_selection_and_its_table_has_their_columns(tmp_path):
    path = write_config(tmp_path, names=("a<b>", "b.c"))
    sets = (
        '--set=data.class_weights={"a<b>" = 1, "b.c" = 9}',
        "--set=student.train.select_by=agreement",
    )
    code, out, err = whole_run.do("run", path, tmp_path / "work", *sets)
    assert code == 0, err
    assert_a_line_states(err, "data.class_weights", "'a<b>'", "'b.c'")
    assert_a_line_states(err, "student.train.select_by", "baseline", "'accuracy'")
    for column in ("balanced acc. %", "macro F1 %", "AUC"):
        assert column in out
    folder = epath.Path(tmp_path / "work/student/seed-0")
    lines = [x for x in read_metrics(folder / "metrics.jsonl") if "eval/kl" in x]
    agreed = [line["eval/agreement"] for line in lines]
    assert steps(folder)["best"] == lines[int(np.argmax(agreed))]["step"]
