"""A whole run with two teachers: their files, results, report, and going on."""

import json
import shutil

import numpy as np
import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states
from tests.helpers.oracle import softmax
from trainer import main, report, stages
from trainer.config import reader
from trainer.report import inputs
from trainer.stages.student import distillation, online
from trainer.storage.workdir import kept_files
from trainer.train import events


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    return whole_run.write_ensemble(tmp_path_factory.mktemp("ensemble"), tfds_dir)


@pytest.fixture(scope="module")
def finished(config):
    """The workdir of a finished run."""
    workdir = config.parent / "workdir"
    assert main.main(whole_run.command("run", config, workdir)) == 0
    return workdir


@pytest.fixture(scope="module")
def session(config, finished):
    return whole_run.session(reader.load(str(config)), finished, strategy_of(1))


@pytest.fixture(scope="module")
def average(session):
    """The members' probabilities on the test split, averaged with 1 to 3."""
    test = session.datasets.read(session.config.data.test_split)
    first, second = (
        softmax(
            session.devices.predictor(model, test, role="teacher")().astype(np.float64)
        )
        for model in session.networks.teachers
    )
    return (first + 3 * second) / 4


@pytest.mark.slow
def test_each_member_has_a_folder_of_its_own(finished):
    for i, steps in enumerate((20, 40)):
        folder = finished / "teacher" / f"member-{i}"
        assert (folder / "model.keras").is_file()
        assert (folder / "checkpoints" / f"step-{steps:08d}.npz").is_file()
        assert events.read_metrics(folder / "metrics.jsonl")[-1]["step"] == steps
    assert "teacher/member-1/model.keras" in kept_files(finished)


@pytest.mark.slow
def test_the_teacher_of_the_results_is_the_average_of_its_members(finished, average):
    models = json.loads((finished / "results.json").read_text())["models"]
    assert list(models) == ["teacher", "member", "student", "baseline"]
    with np.load(finished / "predictions.npz") as arrays:
        labels = arrays["labels"]
        np.testing.assert_allclose(
            softmax(arrays["teacher_logits"]), average, rtol=1e-4, atol=1e-7
        )
    teacher, member = models["teacher"], models["member"]
    assert teacher["test"]["errors"] == (average.argmax(axis=1) != labels).sum()
    assert teacher["test"]["nll"] == pytest.approx(
        -np.log(average[np.arange(len(labels)), labels]).mean(), rel=1e-4
    )
    assert [(seed["seed"], seed["best"]["step"]) for seed in teacher["seeds"]] == [
        (None, None)
    ]
    assert [seed["seed"] for seed in member["seeds"]] == [3, 0]
    sizes = [
        sum(weight.size for weight in whole_run.weights(folder / "model.keras"))
        for folder in (finished / "teacher").iterdir()
    ]
    assert teacher["parameters"] == sum(sizes)
    assert member["parameters"] == pytest.approx(np.mean(sizes), abs=1)


@pytest.mark.slow
def test_members_have_a_mean_and_a_spread_and_agree_with_the_teacher(
    session, finished, average
):
    member = json.loads((finished / "results.json").read_text())["models"]["member"]
    test = session.datasets.read(session.config.data.test_split)
    predicted = [
        session.devices.predictor(model, test, role="teacher")().argmax(axis=1)
        for model in session.networks.teachers
    ]
    errors = [int((classes != test.labels).sum()) for classes in predicted]
    agreement = [(classes == average.argmax(axis=1)).mean() for classes in predicted]
    assert member["mean"]["errors"] == np.mean(errors)
    assert member["std"]["errors"] == pytest.approx(np.std(errors, ddof=1))
    assert member["mean"]["agreement"] == pytest.approx(np.mean(agreement))


@pytest.mark.slow
def test_table_and_page_show_the_average_and_the_mean_member(finished):
    results = report.read_results(finished)
    text = report.render(results)
    rows = [line.split()[0] for line in text.splitlines()[2:6]]
    assert rows == ["teacher", "member", "student", "baseline"]
    assert_states(text, "2 seeds", "2 members")
    histories = inputs.read(epath.Path(finished)).histories
    assert [len(histories[name]) for name in ("teacher", "member")] == [0, 2]
    page = (finished / "report" / "index.html").read_text()
    assert_states(page, "average of cnn, mlp", "run&#39;s T")


@pytest.mark.slow
def test_the_student_is_taught_by_the_average_at_the_temperature(session, monkeypatch):
    seen = {}

    def record(model, signal, loss, **settings):
        seen.update(signal=signal, loss=loss)

    monkeypatch.setattr("trainer.train.objective.distillation", record)
    student = session.networks.build("student", 0)
    distillation(
        session.networks,
        student,
        online(session.networks, session.networks.teachers),
        0,
    )
    rows = session.datasets.validation.read(np.arange(8))
    (term,) = seen["loss"].terms
    temperature = float(term.temperature(0))
    assert temperature == 4.0
    targets = seen["signal"]({"input": rows}).at(temperature)
    first, second = (
        softmax(np.array(model(rows, training=False), np.float64) / temperature)
        for model in session.networks.teachers
    )
    np.testing.assert_allclose(
        softmax(targets.logits.numpy() / temperature),
        (first + 3 * second) / 4,
        rtol=1e-4,
    )


@pytest.mark.slow
def test_agreement_in_validation_is_with_the_average(session):
    first, second = (
        softmax(
            session.devices.predictor(
                model, session.datasets.validation, role="teacher"
            )().astype(np.float64)
        )
        for model in session.networks.teachers
    )
    np.testing.assert_allclose(
        softmax(session.networks.teacher_validation_logits),
        (first + 3 * second) / 4,
        rtol=1e-4,
        atol=1e-7,
    )


@pytest.mark.slow
def test_only_members_that_are_not_finished_are_trained(
    config, finished, tmp_path, monkeypatch
):
    workdir = tmp_path / "workdir"
    shutil.copytree(finished, workdir)
    (workdir / "teacher" / "member-1" / "model.keras").unlink()
    trained = []
    monkeypatch.setattr(
        "trainer.session.training.train",
        lambda session, training: trained.append((training.title, training.folder)),
    )
    session = whole_run.session(reader.load(str(config)), workdir, strategy_of(1))
    stages.STAGES["teacher"](session)
    ((title, folder),) = trained
    assert title == "teacher.members[1] seed 0"
    assert folder == session.path / "teacher" / "member-1"


@pytest.mark.slow
def test_a_run_goes_on_after_its_first_member_and_ends_the_same(
    config, finished, tmp_path
):
    workdir = tmp_path / "workdir"
    shutil.copytree(finished / "teacher" / "member-0", workdir / "teacher" / "member-0")
    shutil.copy(finished / "config.json", workdir)
    before = (workdir / "teacher" / "member-0" / "model.keras").stat().st_mtime_ns
    assert whole_run.do("run", config, workdir)[0] == 0
    after = (workdir / "teacher" / "member-0" / "model.keras").stat().st_mtime_ns
    assert before == after
    expected, found = (
        json.loads((folder / "results.json").read_text())["models"]
        for folder in (finished, workdir)
    )
    for name, entry in expected.items():
        assert found[name]["mean"] == pytest.approx(entry["mean"]), name
        assert found[name]["seeds"] == entry["seeds"], name


@pytest.mark.slow
def test_a_missing_member_is_named_with_the_stage_that_makes_it(
    config, finished, tmp_path, capsys
):
    workdir = tmp_path / "workdir"
    shutil.copytree(finished / "teacher", workdir / "teacher")
    (workdir / "teacher" / "member-1" / "model.keras").unlink()
    shutil.copy(finished / "config.json", workdir)
    assert main.main(whole_run.command("student", config, workdir)) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    absent = workdir / "teacher" / "member-1" / "model.keras"
    assert_states(message, absent, "python -m trainer teacher")


@pytest.mark.slow
def test_weights_and_head_of_a_member_are_its_own(config, finished, tmp_path):
    weights = finished / "teacher" / "member-1" / "model.keras"
    train = "{global_batch_size=20, steps=5}"
    mlp = f"model='mlp', options={{hidden_sizes=[12]}}, weights='{weights}'"
    words = whole_run.command(
        "teacher",
        config,
        tmp_path / "workdir",
        f"--set=teacher.members=[{{{mlp}}}, {{{mlp}, head={train}, train={train}}}]",
    )
    assert main.main(words) == 0
    teacher = tmp_path / "workdir" / "teacher"
    for ours, theirs in zip(
        whole_run.weights(teacher / "member-0" / "model.keras"),
        whole_run.weights(weights),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    head = tmp_path / "workdir" / "teacher_head" / "member-1"
    frozen, moved = whole_run.weights(head / "last.keras"), whole_run.weights(weights)
    assert [np.array_equal(a, b) for a, b in zip(frozen, moved, strict=True)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("member", [0, 1])
def test_weights_that_do_not_fit_a_member_are_named(
    config, finished, tmp_path, capsys, member
):
    weights = finished / "teacher" / "member-1" / "model.keras"
    sizes = [12, 12]
    sizes[member] = 13
    first, second = (
        f"model='mlp', options={{hidden_sizes=[{size}]}}, weights='{weights}'"
        for size in sizes
    )
    train = "train={global_batch_size=20, steps=5}"
    words = whole_run.command(
        "teacher",
        config,
        tmp_path / "workdir",
        f"--set=teacher.members=[{{{first}}}, {{{second}, {train}}}]",
    )
    assert main.main(words) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert_states(message, f"teacher.members[{member}].weights", "'mlp'")
