"""K-fold cross-validation: what each student learns, and what it is measured on."""

import json
import pathlib
import re
import shutil
import signal
import time

import keras
import numpy as np
import pytest
from etils import epath

from tests.helpers import groups, whole_run
from tests.helpers.cached_runs import CACHED, NUM_CLASSES, NUM_IMAGES, SHAPE, session
from tests.helpers.devices import strategy_of
from tests.helpers.finished_run import write_workdir
from tests.helpers.messages import assert_a_line_states, refused
from trainer import config, data, models, report, stages
from trainer.config import ConfigError, differences, resolve
from trainer.report import crossval_table as tables
from trainer.session import Session, training
from trainer.session.datasets import Datasets
from trainer.stages.crossval import folds_of
from trainer.train.events import read_metrics

FIRST, LAST = 1000, 1060  # of the ids that students may learn from
FEW = (
    *(f"data.transfer_split='train[{FIRST}:{LAST}]'", "crossval.folds=3"),
    *("student.train.steps=20", "runtime.eval_every_steps=20"),
    "runtime.save_every_steps=20",
)


def crossvalidated(opened: Session) -> dict:
    stages.run(opened, ("crossval",), whole=False)
    return json.loads((opened.path / "crossval.json").read_text())


def held_out(ids: np.ndarray, fold: int, num_folds: int) -> np.ndarray:
    return ids[folds_of(ids, num_folds=num_folds) == fold]


def lowbias32(x: int) -> int:
    """C. Wellons' mixer, in Python's integers."""
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ x >> 16


def word(value: int) -> int:
    return (value + 0x9E3779B9) % 2**32


def fold_by_hand(example: int, num_folds: int) -> int:
    seeded = lowbias32(lowbias32(word(0)))
    key = lowbias32(seeded ^ lowbias32(word(example)))
    return lowbias32(key ^ lowbias32(word(0))) % num_folds


# Folds.


def test_the_fold_of_an_example_is_a_hash_of_its_id():
    ids = np.array([0, 1, 2, 17, 59_999, 2**31 - 1])
    for num_folds in (2, 5, 10):
        expected = [fold_by_hand(int(i), num_folds) for i in ids]
        assert folds_of(ids, num_folds=num_folds).tolist() == expected


def test_folds_are_alike_and_keep_their_examples_when_others_come():
    ids = np.arange(60_000)
    folds = folds_of(ids, num_folds=5)
    # Of a multinomial distribution: 5 standard deviations are 490.
    assert np.abs(np.bincount(folds, minlength=5) - 12_000).max() < 490
    some = np.random.default_rng(0).permutation(ids)[:999]
    np.testing.assert_array_equal(folds_of(some, num_folds=5), folds[some])


def test_what_has_no_label_is_in_no_fold():
    ids = np.array([3, data.UNLABELED_FROM, data.UNLABELED_FROM + 3])
    folds = folds_of(ids, num_folds=4).tolist()
    assert folds[0] >= 0
    assert folds[1:] == [-1, -1]


# Trainings and measures.


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """A cross-validation, what its trainings were given and which splits it read."""
    opened = session(world, tmp_path_factory.mktemp("finished"), *FEW)
    seen, read = {}, []
    train, read_split = training.train, Datasets.read

    def watched_train(session, planned):
        seen[planned.title] = planned.examples.ids
        train(session, planned)

    def watched_read(datasets, split):
        read.append(split)
        return read_split(datasets, split)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "train", watched_train)
        patched.setattr(Datasets, "read", watched_read)
        crossvalidated(opened)
    return opened, seen, read


def test_each_student_learns_from_the_other_folds_alone(finished):
    opened, seen, _ = finished
    every = np.arange(FIRST, LAST)
    assert list(seen) == [f"fold {fold} of 3 seed 0" for fold in range(3)]
    found = json.loads((opened.path / "crossval.json").read_text())["folds"]
    together = []
    for fold, ids in enumerate(seen.values()):
        left_out = np.setdiff1d(every, ids)
        np.testing.assert_array_equal(left_out, held_out(every, fold, 3))
        assert found[fold]["examples"] == len(left_out)
        together += left_out.tolist()
    assert sorted(together) == every.tolist()


def test_the_test_split_stays_closed(finished):
    _, _, read = finished
    # Nor is the teacher's, which came with its weights.
    assert {"train[1000:1060]"} <= set(read) <= {"train[1000:1060]", "train[4000:4100]"}


def test_the_results_are_those_of_the_saved_models_on_what_they_had_not_seen(
    finished, world
):
    opened, _, _ = finished
    results = json.loads((opened.path / "crossval.json").read_text())
    # As tests.helpers.cached_runs.Dots draws them.
    rng = np.random.default_rng(NUM_IMAGES)
    images = rng.integers(0, 256, (NUM_IMAGES, *SHAPE), dtype=np.uint8)
    labels = images.reshape(NUM_IMAGES, -1)[:, :NUM_CLASSES].argmax(axis=1)
    teacher = predicted(world / "teacher.keras", images)
    columns = {name: [] for name in results["mean"]}
    for fold, found in enumerate(results["folds"]):
        student = predicted(opened.path / f"crossval/fold-{fold}/model.keras", images)
        ids = held_out(np.arange(FIRST, LAST), fold, 3)
        errors = int((student[ids] != labels[ids]).sum())
        expected = {
            "fold": fold,
            "examples": len(ids),
            "errors": errors,
            "accuracy": 1 - errors / len(ids),
            "agreement": (student[ids] == teacher[ids]).mean(),
            "teacher_accuracy": (teacher[ids] == labels[ids]).mean(),
        }
        assert found == pytest.approx(expected)
        for name, values in columns.items():
            values.append(found[name])
    for name, values in columns.items():
        assert results["mean"][name] == pytest.approx(np.mean(values))
        assert results["std"][name] == pytest.approx(np.std(values, ddof=1))
    assert len(results["folds"]) == 3


def predicted(model: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """The classes that a saved model gives."""
    loaded = keras.models.load_model(
        model, custom_objects={"Dropout": models.Dropout}, compile=False
    )
    classes: np.ndarray = loaded.predict(images, batch_size=1000, verbose=0).argmax(1)
    return classes


@pytest.mark.slow
def test_a_fold_s_student_is_that_of_a_run_on_the_others(finished, world, tmp_path):
    """The others are written out as a split of their own."""
    opened, _, _ = finished
    every = np.arange(FIRST, LAST)
    others = np.setdiff1d(every, held_out(every, 1, 3))
    split = "+".join(f"train[{i}:{i + 1}]" for i in others)
    run = session(world, tmp_path, *FEW, f"data.transfer_split='{split}'")
    stages.STAGES["student"](run)
    ours, theirs = (
        whole_run.weights(folder / "model.keras")
        for folder in (
            opened.path / "crossval/fold-1",
            run.networks.folder("student", 0),
        )
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_that_students_do_not_see_are_in_no_fold(world, tmp_path):
    run = opened(world, tmp_path, "data.exclude_labels=[3]")
    assert 3 not in run.datasets.transfer.labels
    sizes = [len(held_out(run.datasets.transfer.ids, fold, 3)) for fold in range(3)]
    assert sum(sizes) == len(run.datasets.labeled) < 2000


@pytest.mark.slow
def test_cached_answers_give_the_results_of_a_live_teacher(finished, world, tmp_path):
    live = json.loads((finished[0].path / "crossval.json").read_text())
    # It builds the cache itself.
    cached = crossvalidated(session(world, tmp_path / "cached", CACHED, *FEW))
    assert cached == live
    assert (tmp_path / "cached/soft_targets/train/manifest.json").exists()


# Going on.


@pytest.mark.slow
def test_what_is_finished_is_not_done_again(finished, world, tmp_path, capsys):
    shutil.copytree(finished[0].path, tmp_path, dirs_exist_ok=True)
    before = crossvalidated(session(world, tmp_path, *FEW))
    table = capsys.readouterr().out
    first = tmp_path / "crossval/fold-0/model.keras"
    written = first.stat().st_mtime_ns
    (tmp_path / "crossval.json").unlink()
    (tmp_path / "crossval/fold-1/model.keras").unlink()
    assert crossvalidated(session(world, tmp_path, *FEW)) == before
    assert first.stat().st_mtime_ns == written
    told = capsys.readouterr()
    assert told.out == table
    assert_a_line_states(told.err, "fold 1 of 3", "seed 0", "from step 20")


def is_between_saves(lines: list[dict]) -> bool:
    """Whether a step was logged after a save and well before the next, of 500 each."""
    step = lines[-1]["step"] if lines else 0
    return step > 500 and 0 < step % 500 < 400


@pytest.mark.slow
def test_killed_between_two_saves_it_ends_with_the_same_numbers(world, tmp_path):
    sets = [
        f"--set={setting}"
        for setting in (
            *("student.train.steps=1500", "runtime.steps_per_loop=10"),
            *("runtime.log_every_steps=10", "runtime.eval_every_steps=500"),
            *("runtime.save_every_steps=500", "crossval.folds=2"),
        )
    ]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    toml = world / "one.toml"
    code, _, err = whole_run.do("crossval", toml, whole, *sets)
    assert code == 0, err
    process = whole_run.start("crossval", toml, killed, *sets)
    folder, end = killed / "crossval/fold-1", time.monotonic() + 240
    while not is_between_saves(read_metrics(folder / "metrics.jsonl")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "model.keras").exists()
    saved = max((folder / "checkpoints").glob("step-*.npz"))
    step = int(saved.stem.removeprefix("step-"))
    code, out, err = whole_run.do("crossval", toml, killed, *sets)
    assert code == 0, err
    assert_a_line_states(err, "fold 1 of 2", "seed 0", f"from step {step}")
    ours, theirs = (
        json.loads((folder / "crossval.json").read_text()) for folder in (killed, whole)
    )
    assert ours == theirs
    assert out.startswith("fold ")


@pytest.mark.slow
def test_two_workers_find_what_one_process_finds(world, tmp_path):
    few = (*FEW, "crossval.folds=2")
    toml, sets = world / "one.toml", [f"--set={setting}" for setting in few]
    two, one = tmp_path / "two", tmp_path / "one"
    groups.finish(tmp_path / "group", 2, "crossval", toml, two, *sets)
    found = json.loads((two / "crossval.json").read_text())
    assert found == crossvalidated(session(world, one, *few))


# Refusals.


def opened(world, folder: pathlib.Path, *settings: str) -> Session:
    """A run that has done nothing yet."""
    chosen = config.load(str(world / "one.toml"), list(settings))
    return whole_run.session(chosen, folder, strategy_of(1))


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        ((), ["[crossval]", "none"]),
        (
            ("data.transfer_split='train[:3]'", "crossval.folds=9"),
            ["crossval.folds", 9],
        ),
        (
            (
                *("data.transfer_split='train[:40]'", "crossval.folds=2"),
                *("student.train.steps=0", "student.train.epochs=10"),
                "student.train.schedule_options.warmup_steps=15",
            ),
            ["student.train.schedule_options.warmup_steps", 15],
        ),
    ],
)
def test_what_cannot_be_cross_validated_leaves_nothing(
    world, tmp_path, settings, facts
):
    with refused(ConfigError, *facts):
        online = "distill.soft_targets='online'"
        crossvalidated(opened(world, tmp_path, online, *settings))
    assert list(tmp_path.iterdir()) == []


def test_two_folds_are_the_fewest(world):
    with refused(ConfigError, "crossval.folds", 2, 1000, 1):
        config.load(str(world / "one.toml"), ["crossval.folds=1"])


def test_other_folds_in_the_workdir_are_refused(finished, world):
    run, _, _ = finished
    with refused(ConfigError, "crossval.folds", 3, 4, run.path):
        crossvalidated(opened(world, run.path, *FEW, "crossval.folds=4"))


def test_the_folds_may_be_named_when_the_run_has_trained(world):
    before, after = (
        resolve(config.load(str(world / "one.toml"), overrides))
        for overrides in ([], ["crossval.folds=5"])
    )
    assert differences(before, after) == []


# The table.

RESULTS = {
    "folds": [
        {
            "fold": fold,
            "examples": 100,
            "errors": errors,
            "accuracy": 1 - errors / 100,
            "agreement": 0.75,
            "teacher_accuracy": 0.975,
        }
        for fold, errors in enumerate((10, 12))
    ],
    "mean": {
        "examples": 100,
        "errors": 11,
        "accuracy": 0.89,
        "agreement": 0.75,
        "teacher_accuracy": 0.975,
    },
    "std": {
        "examples": 0,
        "errors": 2**0.5,
        "accuracy": 2**0.5 / 100,
        "agreement": 0,
        "teacher_accuracy": 0,
    },
}


def test_the_table_has_a_row_for_each_fold_and_one_of_the_means():
    rows = [
        re.split("  +", line.strip()) for line in tables.render(RESULTS).split("\n")
    ]
    header, _, first, second, mean, _ = rows
    assert header == [
        *("fold", "examples", "errors", "accuracy %", "agreement %"),
        "teacher accuracy %",
    ]
    assert first == ["0", "100", "10", "90.00", "75.00", "97.50"]
    assert second == ["1", "100", "12", "88.00", "75.00", "97.50"]
    assert mean == [
        *("mean", "100.0 +- 0.0", "11.0 +- 1.4", "89.00 +- 1.41", "75.00 +- 0.00"),
        "97.50 +- 0.00",
    ]


@pytest.mark.slow
def test_the_page_shows_a_cross_validation(tmp_path):
    write_workdir(tmp_path, class_names=["a", "b", "c"])
    (tmp_path / "crossval.json").write_text(json.dumps(RESULTS))
    page = report.write(tmp_path).read_text()
    assert "<h2>Cross-validation</h2>" in page
    assert "<td>89.00 ± 1.41</td>" in page


def test_a_page_has_no_section_without_one_and_refuses_another_file(tmp_path):
    folder = epath.Path(tmp_path)
    assert list(tables.sections(folder)) == []
    (folder / "crossval.json").write_text(json.dumps(RESULTS | {"mean": {}}))
    with refused(report.ReportError, folder / "crossval.json"):
        list(tables.sections(folder))
