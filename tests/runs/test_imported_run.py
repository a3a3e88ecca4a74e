"""Whole runs whose teacher is elsewhere, by the command line and from Python."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import trainer
from tests.helpers import elsewhere, whole_run
from tests.helpers.examinations import examine, tree
from tests.helpers.messages import assert_a_line_states, refused
from tests.helpers.repository import REPOSITORY
from trainer import exit_codes, main, stages
from trainer.config import ConfigError
from trainer.stages.crossval import folds_of

BOOSTING = REPOSITORY / "docs" / "boosting.toml"
SMALL = (
    *("data.train_split='train[:2000]'", "data.validation_split='train[2000:3000]'"),
    *("data.test_split='train[3000:4000]'", "seeds=[0]", "student.train.epochs=4"),
)


def act(name, config, workdir, *words, sets=()):
    flags = [f"--set={setting}" for setting in sets]
    return main.main(whole_run.command(name, config, workdir, *words, *flags))


# Gradient boosting, which knows nothing of this package.


def ask_boosting(ids: pathlib.Path, folder: pathlib.Path) -> None:
    """Has the documented script answer, in a process of its own."""
    subprocess.run(
        [sys.executable, "docs/boosting.py", str(ids), str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )


@pytest.fixture(scope="module")
def boosted(tmp_path_factory):
    """The folder of a finished run, with the answers beside it, and its settings."""
    folder = tmp_path_factory.mktemp("boosted")
    sets = (*SMALL, f"distill.soft_targets_dir='{folder}/answers'")
    os.chdir(REPOSITORY)  # where the documents have a command start
    ids = folder / "ids.csv"
    words = ("ids", str(ids))
    assert act("soft-targets", BOOSTING, folder / "run", *words, sets=sets) == 0
    ask_boosting(ids, folder / "answers")
    assert act("soft-targets", BOOSTING, folder / "run", "import", sets=sets) == 0
    assert act("run", BOOSTING, folder / "run", sets=sets) == 0
    return folder, sets


@pytest.mark.slow
def test_boosting_teaches_a_student_that_knows_more_than_guesses(boosted):
    folder, _ = boosted
    models = json.loads((folder / "run" / "results.json").read_text())["models"]
    with np.load(REPOSITORY / "configs" / "data" / "magic_gamma.npz") as table:
        labels = table["class"]
    with np.load(folder / "answers" / "test.npz") as answers:
        named = answers["class_names"][answers["probabilities"].argmax(axis=1)]
        ids = answers["id"]
    assert models["teacher"]["test"]["errors"] == (named != labels[ids]).sum()
    assert models["teacher"]["test"]["accuracy"] > 0.8
    largest = (labels[ids] == "gamma").mean()
    assert models["student"]["test"]["accuracy"] > largest + 0.1
    with np.load(folder / "run" / "predictions.npz") as kept:
        names, student = kept["class_names"], kept["student_logits"].argmax(axis=1)
        place = {int(i): row for row, i in enumerate(kept["ids"])}
    rows = [place[int(i)] for i in ids]
    agreement = (names[student[rows]] == named).mean()
    assert models["student"]["test"]["agreement"] == pytest.approx(agreement)
    lines = (folder / "run" / "student" / "seed-0" / "metrics.jsonl").read_text()
    assert "eval/kl_at_1" in lines
    assert "eval/teacher_nll" in lines


@pytest.mark.slow
def test_its_cache_passes_the_check_against_answers_given_again(boosted, capsys):
    folder, sets = boosted
    ask_boosting(folder / "ids.csv", folder / "again")
    words = ("verify", str(folder / "again"))
    assert act("soft-targets", BOOSTING, folder / "run", *words, sets=sets) == 0
    out = capsys.readouterr().out
    for part, count in (("train", "2000"), ("validation", 1000), ("test", 1000)):
        assert_a_line_states(out, f"soft_targets/{part}", f"of {count} asked again")
    code = act("soft-targets", BOOSTING, folder / "run", "verify", sets=sets)
    assert code == exit_codes.UNUSABLE


# A teacher that knows the rule of points in a plane.


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("points")
    path = elsewhere.write_config(folder)
    opened = elsewhere.session(path, folder / "any")
    elsewhere.write_answers(path, opened)
    elsewhere.write_answers(path, opened, "train", name="train_alone")
    return path


def alone(config):
    return f"distill.soft_targets_dir='{config.parent}/train_alone'"


@pytest.mark.slow
def test_without_answers_on_other_splits_nothing_is_made_up(config, tmp_path, capsys):
    assert act("run", config, tmp_path, sets=[alone(config)]) == exit_codes.DONE
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results["models"]) == {"student", "baseline"}
    assert "agreement" not in results["models"]["student"]["test"]
    assert "teacher_validation" not in results
    lines = (tmp_path / "student" / "seed-0" / "metrics.jsonl").read_text()
    assert "eval/accuracy" in lines
    assert "eval/agreement" not in lines
    out, err = capsys.readouterr()
    assert_a_line_states(err, "validation: no answers")
    assert_a_line_states(err, "test: no answers", "agreement")
    assert "teacher" not in out
    page = (tmp_path / "report" / "index.html").read_text()
    assert "imported answers" in page


@pytest.mark.slow
def test_folds_are_measured_by_the_answers_on_them(config, tmp_path):
    assert act("crossval", config, tmp_path, sets=["crossval.folds=3"]) == 0
    found = json.loads((tmp_path / "crossval.json").read_text())["folds"]
    opened = elsewhere.session(config, tmp_path / "any")
    ids = opened.datasets.transfer.ids
    counts = np.bincount(folds_of(ids, num_folds=3))
    assert [fold["examples"] for fold in found] == counts.tolist()
    assert [fold["teacher_accuracy"] for fold in found] == [1.0] * 3
    # The teacher is always right, so that who agrees with it is.
    assert [fold["agreement"] for fold in found] == [f["accuracy"] for f in found]


@pytest.mark.slow
def test_cells_of_a_study_share_one_import(config, tmp_path):
    grid = "study.grid={distill.temperature=[1.0, 4.0], distill.top_k=[0, 1]}"
    sets = [grid, "student.train.steps=4", "runtime.eval_every_steps=4"]
    assert act("study", config, tmp_path, sets=sets) == exit_codes.DONE
    assert (tmp_path / "soft_targets" / "imported.json").exists()
    kept = {cell.name: cell / "soft_targets" for cell in (tmp_path / "cells").iterdir()}
    own = {name for name, folder in kept.items() if folder.exists()}
    # The two that keep another part of the logits import for themselves.
    assert own == {name for name in kept if "top_k=1" in name}
    assert len(kept) == 4


@pytest.mark.slow
def test_a_sweep_against_a_teacher_that_has_not_spoken_is_refused(
    config, tmp_path, capsys
):
    sweep = "sweep={space={distill.temperature=[1.0, 2.0]}, metric='eval/agreement'}"
    code = act("sweep", config, tmp_path, sets=[alone(config), sweep])
    assert code == exit_codes.UNUSABLE
    assert_a_line_states(capsys.readouterr().err, "sweep.metric", "'agreement'")
    assert not list(tmp_path.rglob("*.keras"))


@pytest.mark.slow
def test_an_examination_imports_nothing_into_the_workdir(config, tmp_path):
    folder = tmp_path / "run"
    code, found = examine(config, folder)
    assert code == exit_codes.DONE, found
    assert_a_line_states(found.text("soft targets"), "train", 180, "100.00 %")
    assert not folder.exists() or not tree(folder)


@pytest.mark.slow
def test_from_python_the_teacher_is_none(tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 2)).astype(np.float32)
    labels = (features.prod(axis=1) > 0).astype(np.int64)
    logits = 3.0 * np.stack([-features.prod(axis=1), features.prod(axis=1)], axis=1)
    folder = tmp_path / "answers"
    folder.mkdir()
    rows = np.arange(300)
    elsewhere.write(
        folder / "train.npz", id=rows, logits=logits[:300], class_names=["0", "1"]
    )
    result = trainer.distill(
        None,
        "mlp",
        (features[:300], labels[:300]),
        (features[300:350], labels[300:350]),
        (features[350:], labels[350:]),
        epochs=2,
        workdir=tmp_path / "run",
        config={
            "student": {"options": {"hidden_sizes": [8]}},
            "distill": {
                "soft_targets": "imported",
                "soft_targets_dir": folder,
            },
        },
    )
    assert result.student.count_params() > 0
    assert set(result.metrics["models"]) == {"student", "baseline"}
    with refused(ConfigError, "'teacher'"):
        _ = result.teacher


def test_the_teacher_stage_has_nothing_to_do(config, tmp_path):
    opened = elsewhere.session(config, tmp_path)
    stages.run(opened, ("teacher",), whole=False)
    assert not (tmp_path / "teacher").exists()
    assert "teacher" not in stages.select_stages(opened.config)
