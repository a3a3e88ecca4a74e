"""Workdirs as trackers get them: all of it, once, in whatever order things go wrong."""

import json
import shutil

import pytest
from etils import epath

from tests.helpers.begun_work import unpacked
from tests.helpers.messages import refused
from tests.helpers.recorder import Recorder
from trainer import config, tracking
from trainer.storage import files, seal
from trainer.tracking.sender import Counts, Sender
from trainer.train.events import read_metrics

SENT = (
    'tracking.tracker="tests.helpers.recorder:recorder"',
    'tracking.models=["teacher", "student"]',
)


def sender(place, name, recorder, **changed):
    overrides = [*SENT, *(f"{key}={value}" for key, value in changed.items())]
    settings = config.load(str(place / f"{name}.toml"), overrides)
    path = epath.Path(place / "workdir")
    return Sender(settings, path, lambda: recorder)


def lines_of(folder):
    lines = read_metrics(epath.Path(folder / "metrics.jsonl"))
    return [(line.pop("step"), line) for line in lines]


@pytest.fixture
def begun(tmp_path):
    """A run whose teacher is trained, and whose student has just begun."""
    return unpacked("run", tmp_path)


def test_a_run_is_sent_with_its_settings_its_trainings_and_their_models(begun):
    recorder = Recorder()
    counts = sender(begun, "run", recorder).send()
    settings = config.load(str(begun / "run.toml"))
    name = settings.name
    whole = recorder.named(name)
    assert whole.run.parent == ""
    assert recorder.children(name) == ["student seed 0", "teacher"]
    kept = json.loads((begun / "workdir" / "config.json").read_text())
    told = whole.run.settings
    assert told["student.train.optimizer"] == kept["student"]["train"]["optimizer"]
    assert not [path for path in told if path.startswith("tracking.")]
    teacher = recorder.named("teacher")
    assert teacher.lines == lines_of(begun / "workdir" / "teacher")
    for file in ("model.keras", "classes.model.keras.json"):
        content = (begun / "workdir" / "teacher" / file).read_bytes()
        assert teacher.files[f"model/{file}"] == content
    assert (teacher.ends, whole.ends) == (["done"], [])
    student = recorder.named("student seed 0")
    num_lines = len(teacher.lines) + len(student.lines)
    assert (counts.runs, counts.lines, counts.files) == (3, num_lines, 3)


def test_nothing_is_sent_twice(begun):
    recorder = Recorder()
    sender(begun, "run", recorder).send()
    num_calls = recorder.num_calls
    again = sender(begun, "run", recorder)
    for _ in range(2):
        assert again.send() == Counts()
    assert recorder.num_calls == num_calls


def test_what_a_killed_process_had_sent_is_known_by_the_tracker(begun):
    recorder, told = Recorder(), epath.Path(begun / "workdir" / "tracking.json")
    sender(begun, "run", recorder).send()
    before = {key: list(each.lines) for key, each in recorder.runs.items()}
    # Its keys were written, and the process was killed before it wrote more.
    kept = seal.parse(told.read_bytes())
    for run in kept["trackers"][0]["runs"].values():
        run |= {"step": -1, "files": {}, "summary": "", "is_over": False}
    files.write_json(told, seal.add_checksum(kept))
    assert sender(begun, "run", recorder).send().lines == 0
    assert {key: each.lines for key, each in recorder.runs.items()} == before


def test_lines_wait_for_the_checkpoint_that_holds_them(begun):
    recorder, own = Recorder(), begun / "workdir" / "student" / "seed-0"
    sender(begun, "run", recorder).send()
    student = recorder.named("student seed 0")
    checkpoints = sorted((own / "checkpoints").glob("step-*.npz"))
    saved = int(checkpoints[-1].stem.partition("-")[2])
    assert student.lines == [line for line in lines_of(own) if line[0] <= saved]
    # A process went on, and was killed before its next checkpoint.
    with open(own / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": saved + 5, "train/loss": 9.0}) + "\n")
    sender(begun, "run", recorder).send()
    assert student.lines[-1][0] <= saved
    # The next one wrote that line otherwise, saved, and wrote one more.
    kept = (own / "metrics.jsonl").read_text().splitlines()[:-1]
    kept += [json.dumps({"step": saved + i, "train/loss": i / 8}) for i in (5, 10)]
    (own / "metrics.jsonl").write_text("\n".join(kept) + "\n")
    later = checkpoints[-1].with_name(f"step-{saved + 5:08d}.npz")
    shutil.copy(checkpoints[-1], later)
    sender(begun, "run", recorder).send()
    assert student.lines[-1] == (saved + 5, {"train/loss": 0.625})
    # It has ended, so that nothing is written anew.
    shutil.copy(begun / "workdir" / "teacher" / "model.keras", own)
    sender(begun, "run", recorder).send()
    assert student.lines == lines_of(own)
    assert student.ends == ["done"]
    # It is trained anew, which is another run.
    (own / "model.keras").unlink()
    sender(begun, "run", recorder).send()
    names = [each.run.name for each in recorder.runs.values()]
    assert names.count("student seed 0") == 2


def test_what_a_tracker_that_is_down_lacks_is_sent_later(begun):
    recorder = Recorder()
    first = sender(begun, "run", recorder)
    recorder.is_down = True
    with refused(tracking.TrackingError, "Connection refused"):
        first.send()
    recorder.is_down = False
    first.send()
    again = Recorder()
    sender(begun, "run", again).send()
    # Another process, which knows that all is sent.
    assert again.runs == {}
    # A tracker that has lost a run gets all of it, under its key.
    keys = set(recorder.runs)
    recorder.runs.clear()
    (begun / "workdir" / "teacher" / "model.keras").touch()
    sender(begun, "run", recorder).send()
    sender(begun, "run", recorder).send()
    teacher = recorder.named("teacher")
    assert teacher.run.key in keys
    assert teacher.lines == lines_of(begun / "workdir" / "teacher")
    assert len(teacher.files) == 2


def test_another_tracker_gets_all_and_the_first_is_not_forgotten(begun):
    first, second = Recorder(), Recorder()
    sender(begun, "run", first).send()
    other = {"tracking.options": '{project = "b"}'}
    sender(begun, "run", second, **other).send()
    assert len(first.runs) == len(second.runs) == 3
    assert not set(first.runs) & set(second.runs)
    assert sender(begun, "run", first).send() == Counts()
    assert sender(begun, "run", second, **other).send() == Counts()


def test_results_are_sent_again_where_they_have_changed(begun):
    recorder, results = Recorder(), begun / "workdir" / "results.json"
    numbers = {"examples": 20, "errors": 4, "accuracy": 0.8, "nll": 0.5, "ece": 0.1}
    entry = {
        "parameters": 7,
        "test": {**numbers, "per_class_accuracy": [1.0], "confusion_matrix": [[20]]},
        "seeds": [
            {"seed": 0, "last": {"step": 1} | numbers, "best": {"step": 1} | numbers}
        ],
        "mean": numbers,
        "std": dict.fromkeys(numbers),
    }
    told = {
        "models": {"student": entry},
        "gain": {"errors": {"mean": 3, "per_seed": []}},
    }
    results.write_text(json.dumps(told))
    sender(begun, "run", recorder).send()
    [whole] = [each for each in recorder.runs.values() if not each.run.parent]
    [(first, found)] = whole.lines
    assert found["student/test/accuracy"] == 0.8
    assert found["student/parameters"] == 7
    assert found["gain/errors/mean"] == 3
    assert whole.files["results.json"] == results.read_bytes()
    assert whole.ends == ["done"]
    entry["mean"] = numbers | {"accuracy": 0.9}
    results.write_text(json.dumps(told))
    sender(begun, "run", recorder).send()
    assert whole.lines[1][0] > first
    assert whole.lines[1][1]["student/test/accuracy"] == 0.9
    assert json.loads(whole.files["results.json"])["models"]["student"] == entry


def test_a_study_has_its_cells_and_they_their_trainings(tmp_path):
    place, recorder = unpacked("study", tmp_path), Recorder()
    sender(place, "study", recorder).send()
    name = config.load(str(place / "study.toml")).name
    assert recorder.children(name) == ["teacher", "alpha=0.5", "alpha=0.9"]
    done, waiting = recorder.named("alpha=0.5"), recorder.named("alpha=0.9")
    assert recorder.children("alpha=0.5") == ["baseline seed 0", "student seed 0"]
    assert done.run.settings["distill.alpha"] == 0.5
    results = json.loads((place / "workdir/cells/alpha=0.5/results.json").read_text())
    mean = results["models"]["student"]["mean"]
    assert done.lines[0][1]["student/test/nll"] == mean["nll"]
    assert (done.ends, waiting.ends) == (["done"], [])
    assert recorder.named(name).ends == []
    assert "study.json" in recorder.named(name).files


def test_what_changes_in_a_cell_that_was_over_is_sent(tmp_path):
    place, recorder = unpacked("study", tmp_path), Recorder()
    own = sender(place, "study", recorder)
    for _ in range(3):
        own.send()
    cell = place / "workdir" / "cells" / "alpha=0.5"
    results = json.loads((cell / "results.json").read_text())
    del results["checksum"]
    results["models"]["student"]["mean"]["accuracy"] = 0.125
    (cell / "results.json").write_text(json.dumps(results))
    (cell / "report" / "index.html").write_text("drawn again")
    own.send()
    found = recorder.named("alpha=0.5")
    assert found.lines[-1][1]["student/test/accuracy"] == 0.125
    assert found.files["report/index.html"] == b"drawn again"
    assert found.ends == ["done", "done"]


def test_a_sweep_has_the_numbers_of_its_trials(tmp_path):
    place, recorder = unpacked("sweep", tmp_path), Recorder()
    sender(place, "sweep", recorder).send()
    trials = json.loads((place / "workdir" / "sweep.json").read_text())
    metric = trials["metric"]
    for trial in trials["trials"][:2]:
        found = recorder.named(trial["cell"])
        assert found.lines == [(0, {f"trial/{metric}": trial["value"]})]
        assert found.ends == ["done"]
    with pytest.raises(ValueError, match="unpack"):
        recorder.named("trial-002")  # which has not begun


def test_a_damaged_memory_of_what_was_sent_is_told(begun):
    told = begun / "workdir" / "tracking.json"
    sender(begun, "run", Recorder()).send()
    told.write_text(told.read_text().replace('"step": ', '"step": 1'))
    with refused(files.StorageError, told, "delete"):
        sender(begun, "run", Recorder()).send()
