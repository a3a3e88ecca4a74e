"""Students that teach the next: generations of runs, each from the run before."""

import json
import shutil

import numpy as np
import pytest

from tests.helpers import configs, point_study, whole_run
from tests.helpers.messages import assert_states
from tests.helpers.pages import undrawn
from trainer import main
from trainer.storage import folders, seal

SHORT = ("seeds=[0]", "student.train.steps=20", "teacher.train.steps=20")
TEACHER = "train = {global_batch_size = 16, steps = 20}"


def begin(name, config, path, teacher, *settings):
    """The exit code of a command whose teacher is a run's."""
    sets = [f'teacher={{weights="{teacher}", min_accuracy=0.0}}', *settings]
    words = whole_run.command(name, config, path, *(f"--set={each}" for each in sets))
    with undrawn():
        return main.main(words)


@pytest.mark.slow
def test_a_student_teaches_the_next(tmp_path, tfds_dir, capsys):
    config = whole_run.write_config(tmp_path, tfds_dir)
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    sets = [f"--set={each}" for each in SHORT]
    assert whole_run.do("run", config, first, *sets)[0] == 0
    short = SHORT[:2]
    assert begin("run", config, second, f"run:{first}", *short) == 0

    student = first / "student" / "seed-0" / "model.keras"
    expected = whole_run.weights(student)
    for own, its in zip(
        whole_run.weights(second / "teacher" / "model.keras"), expected, strict=True
    ):
        np.testing.assert_array_equal(own, its)
    results = [
        json.loads((path / "results.json").read_text())["models"]
        for path in (first, second)
    ]
    before, after = results[0]["student"], results[1]["teacher"]
    assert before["seeds"][0]["best"]["errors"] == after["seeds"][0]["best"]["errors"]
    assert before["seeds"][0]["weights"] == after["seeds"][0]["weights"]
    kept = json.loads((second / "config.json").read_text())["teacher"]
    assert (kept["model"], kept["options"]["hidden_sizes"]) == ("mlp", [16])
    assert seal.parse((second / "weights.json").read_bytes()) == {
        "teacher.weights": folders.checksum(student)
    }

    # The third has the first's student through the second, whose copy it is.
    assert begin("teacher", config, third, f"run:{second}/teacher", *short) == 0
    (own, *_), (its, *_) = whole_run.weights(third / "teacher/model.keras"), expected
    np.testing.assert_array_equal(own, its)

    # Another file than the run has tested, and other images than it saw.
    shutil.copy(first / "baseline" / "seed-0" / "model.keras", student)
    capsys.readouterr()
    for path, more, facts in (
        ("another", [], ["results.json", f"'run:{first}'"]),
        ("resized", ["data.image_size=32"], ["[32, 32, 1]", "[28, 28, 1]"]),
    ):
        code = begin("run", config, tmp_path / path, f"run:{first}", *short, *more)
        assert code == 2
        assert_states(capsys.readouterr().err, "teacher.weights", *facts)
        assert not (tmp_path / path / "teacher").exists()

    # What has begun needs the other no more.
    shutil.rmtree(first)
    more = (*short[1:], "seeds=[0, 1]")
    assert begin("student", config, second, f"run:{first}", *more) == 0
    assert (second / "student" / "seed-1" / "model.keras").exists()


@pytest.mark.slow
def test_rows_that_are_standardised_otherwise_are_refused(tmp_path, capsys):
    point_study.write_config(tmp_path)
    config = tmp_path / "points.toml"
    text = configs.POINTS[: configs.POINTS.index("[study.grid]")]
    config.write_text(text.format(folder=tmp_path).replace("TEACHER", TEACHER))
    assert whole_run.do("run", config, tmp_path / "first")[0] == 0
    name = f"run:{tmp_path}/first"
    assert begin("teacher", config, tmp_path / "second", name) == 0
    capsys.readouterr()
    other = "data.train_split='train[:50%]'"
    assert begin("teacher", config, tmp_path / "third", name, other) == 2
    assert_states(capsys.readouterr().err, "teacher.weights", "data.train_split")
