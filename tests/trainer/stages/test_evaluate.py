"""The evaluate stage: what is measured beside the metrics, and when it is anew."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests.helpers import whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from trainer import main, report
from trainer.config import ConfigError, evaluation, reader
from trainer.evaluation import inference_times
from trainer.session import predictions
from trainer.stages.evaluate import beside_results, timing
from trainer.storage import workdir
from trainer.train import checkpoint, checkpoint_file

SETTINGS = (
    "seeds=[1]",
    "data.exclude_labels=[3, 5]",
    "teacher.model='mlp'",
    "teacher.options={hidden_sizes=[32]}",
)
CORRECTED, TIMED = "evaluate.class_bias=true", "evaluate.inference_times=true"
OF_SEEDS = '"models": {"student": {"seeds": [{"seed": 0}, {"seed": 1}]}}'
MODELS = (
    *("teacher", "student", "student_class_bias"),
    *("baseline", "baseline_class_bias"),
)


def command(config, path, *settings):
    flags = (f"--set={setting}" for setting in (*SETTINGS, *settings))
    return whole_run.command("evaluate", config, path, *flags)


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    return whole_run.write_config(tmp_path_factory.mktemp("evaluate"), tfds_dir)


@pytest.fixture(scope="module")
def session(config):
    """Of a workdir with all models, as their seeds begin them."""
    path = config.parent / "trained"
    settings = reader.load(str(config), SETTINGS)
    session = whole_run.session(settings, path, strategy_of(1))
    workdir.record(session.path, settings)
    for role, seed in (("teacher", 0), ("student", 1), ("baseline", 1)):
        folder = pathlib.Path(session.networks.folder(role, seed))
        folder.mkdir(parents=True)
        model = session.networks.build(role, seed)
        model.save(folder / "model.keras")
        # Another one: each class a little less than the one before it.
        bias = model.weights[-1]
        bias.assign(bias - 0.05 * np.arange(10))
        model.save(folder / "last.keras")
    return session


@pytest.fixture(scope="module")
def evaluated(config, session):
    """The results with all that can be asked for, and the workdir."""
    path = config.parent / "evaluated"
    shutil.copytree(session.path, path)
    assert main.main(command(config, path, CORRECTED, TIMED)) == 0
    return json.loads((path / "results.json").read_text()), path


def errors(logits, labels):
    return int((logits.argmax(axis=1) != labels).sum())


def moved(logits, bias):
    logits = logits.astype(np.float64)
    logits[:, [3, 5]] += bias
    return logits


def test_each_student_has_an_entry_before_and_after(evaluated):
    results, path = evaluated
    models = results["models"]
    assert tuple(models) == MODELS
    for role in ("student", "baseline"):
        before, after = models[role], models[f"{role}_class_bias"]
        assert after["parameters"] == before["parameters"]
        assert "class_bias" not in before["mean"]
        (seed,) = after["seeds"]
        bias = seed["best"]["class_bias"]
        assert bias == after["mean"]["class_bias"] == after["test"]["class_bias"] != 0
        with np.load(path / "predictions.npz") as arrays:
            corrected = arrays[f"{role}_class_bias_logits"]
            np.testing.assert_array_equal(
                corrected, moved(arrays[f"{role}_logits"], bias)
            )
            assert seed["best"]["errors"] == errors(corrected, arrays["labels"])


def test_the_bias_has_the_fewest_errors_on_validation_and_not_on_test(
    session, evaluated
):
    (entry,) = evaluated[0]["models"]["student_class_bias"]["seeds"]
    test = session.datasets.read(session.config.data.test_split)
    model = session.networks.build("student", 1)
    found = {}
    for kind, file in (("best", "model.keras"), ("last", "last.keras")):
        session.networks.load(
            model, session.networks.folder("student", 1) / file, stage="student"
        )
        for split, examples in (
            ("validation", session.datasets.validation),
            ("test", test),
        ):
            logits = np.array(model(examples.read(np.arange(500)), training=False))
            biases = (entry[kind]["class_bias"], *np.linspace(-2, 2, 1001))
            found[split, kind] = [
                errors(moved(logits, bias), examples.labels) for bias in biases
            ]
        assert found["validation", kind][0] == min(found["validation", kind])
    assert found["test", "best"][0] > min(found["test", "best"])


def test_excluded_errors_are_those_on_the_excluded_labels(session, evaluated):
    results, path = evaluated
    with np.load(path / "predictions.npz") as arrays:
        rows = np.isin(arrays["labels"], [3, 5])
        for name in MODELS:
            found = results["models"][name]["test"]
            assert found["excluded_examples"] == rows.sum() == 97
            assert found["excluded_errors"] == errors(
                arrays[f"{name}_logits"][rows], arrays["labels"][rows]
            )


def test_teacher_and_student_are_timed_at_both_batch_sizes(evaluated):
    models = evaluated[0]["models"]
    for role in ("teacher", "student"):
        times = models[role]["inference_ms_per_example"]
        assert list(times) == list(models[role]["inference_rounds"]) == ["1", "256"]
        # The cost of a call is shared by the examples of its batch.
        assert 0 < times["256"] < times["1"] < 1000
    assert "inference_ms_per_example" not in models["baseline"]
    text = report.render(report.read_results(epath.Path(evaluated[1])))
    assert_a_line_states(text, "inference", "batch 256", "teacher")


def test_images_on_which_models_differ_are_kept_with_versions(session, evaluated):
    path = evaluated[1]
    with np.load(path / "predictions.npz") as arrays:
        labels = arrays["labels"]
        right = {
            role: arrays[f"{role}_logits"].argmax(axis=1) == labels
            for role in ("teacher", "student", "baseline")
        }
    with np.load(path / "evaluation" / "thumbnails.npz") as kept:
        rows, images = kept["rows"], kept["images"]
    assert 0 < len(rows) <= 64
    assert not any(all(right[role][row] for role in right) for row in rows)
    test = session.datasets.read(session.config.data.test_split)
    np.testing.assert_array_equal(images, test.read(rows))
    environment = json.loads((path / "evaluation" / "environment.json").read_text())
    assert environment["tensorflow"] == tf.__version__
    assert "1 replica" in environment["devices"]


@pytest.mark.parametrize(("secs", "is_measured"), [(60.0, True), (0.0, False)])
def test_times_are_measured_beside_the_results_within_their_time(
    session, monkeypatch, secs, is_measured
):
    monkeypatch.setattr(evaluation, "AUTO_SECS", secs)
    monkeypatch.setattr(inference_times, "_ROUNDS", 6)
    file = session.path / "evaluation" / "inference_times.json"
    test = session.datasets.read(session.config.data.test_split)
    timing.write(session.networks, test)
    assert file.exists() == is_measured
    if is_measured:
        models = json.loads(file.read_text())["models"]
        assert list(models) == ["teacher", "student"]
        assert models["student"]["inference_rounds"] == {"1": 6, "256": 6}
        file.unlink()


def test_large_images_are_shrunk_to_means_of_their_pixels():
    images = np.arange(2 * 128 * 32 * 3, dtype=np.int64).reshape(2, 128, 32, 3) % 251
    small = beside_results._shrink(images.astype(np.uint8))
    assert small.shape == (2, 64, 16, 3)
    means = images.reshape(2, 64, 2, 16, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small, means, atol=0.51)


@pytest.mark.slow
def test_what_is_asked_for_later_is_evaluated_without_training(
    config, session, tmp_path
):
    path = tmp_path / "workdir"
    shutil.copytree(session.path, path)
    words = command(config, path)
    assert main.main(words) == 0
    first = (path / "results.json").read_bytes()
    models = {p: p.stat().st_mtime_ns for p in path.rglob("*.keras")}
    (path / "report").mkdir()
    (path / "report" / "index.html").touch()

    assert main.main(command(config, path, CORRECTED)) == 0
    results = json.loads((path / "results.json").read_text())
    assert tuple(results["models"]) == MODELS
    # It shows other results.
    assert not (path / "report" / "index.html").exists()
    written = (path / "results.json").stat().st_mtime_ns
    assert main.main(command(config, path, CORRECTED)) == 0
    assert (path / "results.json").stat().st_mtime_ns == written

    assert main.main(words) == 0
    assert (path / "results.json").read_bytes() == first
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*.keras")} == models


@pytest.mark.parametrize(
    ("content", "is_evaluated"),
    [
        ('{"models": {}}', True),  # of a version without the section
        (f'{{"evaluate": {{"class_bias": false}}, {OF_SEEDS}}}', True),
        (f'{{"evaluate": {{"class_bias": true}}, {OF_SEEDS}}}', False),
        (f'{{"evaluate": {{"inference_times": false}}, {OF_SEEDS}}}', True),
        (f'{{"evaluate": {{"inference_times": true}}, {OF_SEEDS}}}', False),
        ("{", True),  # the report names it
        ("[]", True),
    ],
)
def test_results_say_what_they_were_asked_for(config, tmp_path, content, is_evaluated):
    path = epath.Path(tmp_path)
    (path / "report").mkdir()
    for name in ("predictions.npz", "report/index.html"):
        (path / name).touch()
    (path / "results.json").write_text(content)
    for times in ("false", "'auto'"):
        # Times beside the results may be missing.
        settings = reader.load(str(config), [f"evaluate.inference_times={times}"])
        assert workdir.is_evaluated(path, settings) == is_evaluated
        assert workdir.is_finished(path, settings) == is_evaluated


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ({10: 0.5, 20: 0.75, 30: 0.5}, 20),
        ({10: 0.5, 20: 0.5, 30: 0.5}, 10),
        ({10: 0.5, 20: 0.75, 30: 0.875}, 30),
        ({10: 0.5, 20: 0.75}, None),  # the last line is lost
        ({}, None),
    ],
)
def test_steps_are_known_without_the_newest_checkpoint(
    tmp_path, capsys, accuracies, best
):
    folder = epath.Path(tmp_path)
    kept = checkpoint.Checkpoints(
        folder / "checkpoints",
        state={"model": [keras.Variable([1.0, 2.0])]},
        run="teacher",
        keep=2,
    )
    for step in (10, 30):
        kept.save(checkpoint_file.Progress(step=step, best_step=10, best_value=0.5))
    newest = tmp_path / "checkpoints" / "step-00000030.npz"
    newest.write_bytes(newest.read_bytes()[:-50])
    (tmp_path / "metrics.jsonl").write_text(
        "".join(
            json.dumps({"step": step, "eval/accuracy": accuracy}) + "\n"
            for step, accuracy in accuracies.items()
        )
    )
    if best is None:
        with refused(checkpoint_file.CheckpointError, "step-00000030.npz", "damaged"):
            predictions.steps(folder)
        return
    assert predictions.steps(folder) == {"last": 30, "best": best}
    assert_states(capsys.readouterr().err, newest, "damaged")
    assert newest.exists()


def test_a_bias_of_no_class_is_refused(config):
    with refused(
        ConfigError, "evaluate.class_bias", "true", "data.exclude_labels = [3]"
    ):
        reader.load(str(config), [CORRECTED])
