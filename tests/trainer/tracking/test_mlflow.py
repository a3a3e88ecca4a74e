"""An MLflow store in SQLite, read by MLflow's own client, holds what workdirs do."""

import json
import socket
import sys
import urllib.parse

import pytest
from etils import epath
from mlflow import MlflowClient

from tests.helpers import whole_run
from tests.helpers.begun_work import unpacked
from tests.helpers.messages import assert_states
from trainer import config, main, tracking
from trainer.config import MlflowOptions
from trainer.storage import files, seal
from trainer.tracking import mlflow_tracker
from trainer.tracking.sender import Sender
from trainer.train.events import read_metrics

# Of MLflow and its SQLAlchemy, and of nothing here.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The URI of a store, whose tables take seconds to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/new/mlflow.db"


def settings_of(uri, **options):
    told = ", ".join(
        f"{k} = {json.dumps(v)}" for k, v in {"uri": uri, **options}.items()
    )
    return ['tracking.tracker="mlflow"', f"tracking.options={{{told}}}"]


def history(client, run_id):
    """Metrics by their steps, as the lines of metrics.jsonl have them."""
    found = {}
    for name in client.get_run(run_id).data.metrics:
        for point in client.get_metric_history(run_id, name):
            found.setdefault(point.step, []).append((name, point.value))
    assert all(len(dict(each)) == len(each) for each in found.values())
    return {step: dict(each) for step, each in found.items()}


def lines(folder):
    found = read_metrics(epath.Path(folder / "metrics.jsonl"))
    return {line.pop("step"): line for line in found}


def runs_of(client, experiment):
    [own] = [each for each in client.search_experiments() if each.name == experiment]
    found = client.search_runs([own.experiment_id])
    return {run.info.run_name: run for run in found}


def artifact(run, name):
    place = urllib.parse.urlsplit(run.info.artifact_uri).path
    return epath.Path(place) / name


def forget(path):
    """Leaves the keys of what was sent, as a process that was killed then."""
    kept = seal.parse((path / "tracking.json").read_bytes())
    for run in kept["trackers"][0]["runs"].values():
        run |= {"step": -1, "files": {}, "summary": "", "is_over": False}
    files.write_json(path / "tracking.json", seal.add_checksum(kept))


@pytest.mark.slow
def test_a_run_has_its_parameters_numbers_and_files_once(tmp_path, store):
    place = unpacked("run", tmp_path)
    path = epath.Path(place / "workdir")
    overrides = settings_of(store, experiment="once", register_as="digits")
    overrides += ['tracking.models=["teacher"]', 'export.role="teacher"']
    settings = config.load(str(place / "run.toml"), overrides)
    client = MlflowClient(store, store)
    for _ in range(2):
        opened = tracking.opening(settings.tracking, settings.name)
        Sender(settings, path, opened).send()
        forget(path)
    found = runs_of(client, "once")
    assert found.keys() == {settings.name, "teacher", "student seed 0"}
    whole, teacher = found[settings.name], found["teacher"]
    student = found["student seed 0"]
    assert history(client, teacher.info.run_id) == lines(path / "teacher")
    for own in (teacher, student):
        assert own.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert (teacher.info.status, student.info.status) == ("FINISHED", "RUNNING")
    optimizer = settings.student.train.optimizer
    assert whole.data.params["student.train.optimizer"] == optimizer
    model = (path / "teacher" / "model.keras").read_bytes()
    assert artifact(teacher, "model/model.keras").read_bytes() == model
    # Beside the store, and not in the working directory.
    assert str(artifact(teacher, "model")).startswith(
        store.removeprefix("sqlite:///").removesuffix("mlflow.db")
    )
    [version] = client.search_model_versions("name='digits'")
    assert version.run_id == teacher.info.run_id
    assert version.source.endswith("/model")


def test_lines_of_any_number_go_in_requests_that_mlflow_takes(store):
    tracker = mlflow_tracker.MlflowTracker(MlflowOptions(uri=store), experiment="many")
    run = tracking.TrackedRun(
        key="0" * 32,
        name="n",
        parent="",
        settings={f"teacher.members[{i}].x": "v" * 9000 for i in range(150)},
    )
    assert tracker.begin(run) == -1
    many = [(step, {f"m[{i}]": float(step) for i in range(300)}) for step in range(9)]
    tracker.log(run, many)
    again = mlflow_tracker.MlflowTracker(MlflowOptions(uri=store), experiment="many")
    assert again.begin(run) == 8
    client = MlflowClient(store, store)
    [own] = runs_of(client, "many").values()
    assert len(own.data.params) == 150
    assert "teacher.members.149.x" in own.data.params
    points = client.get_metric_history(own.info.run_id, "m.299.")
    assert [point.step for point in points] == list(range(9))


@pytest.fixture
def closed_port():
    """A port at which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_server_that_does_not_answer_is_known_at_once(tmp_path, closed_port, capsys):
    place = unpacked("run", tmp_path)
    words = ["trainer", "track", f"--workdir={place / 'workdir'}"]
    words += [f"--set={x}" for x in settings_of(f"http://127.0.0.1:{closed_port}")]
    assert main.main(words) == 2
    assert_states(capsys.readouterr().err, "Connection refused")


@pytest.mark.parametrize("package", ["mlflow", "sqlalchemy"])
def test_a_missing_package_is_told_before_any_training(
    tmp_path, tfds_dir, monkeypatch, capsys, store, package
):
    file = whole_run.write_config(tmp_path, tfds_dir)
    monkeypatch.setitem(sys.modules, package, None)
    words = [f"--set={setting}" for setting in settings_of(store)]
    workdir = tmp_path / "workdir"
    assert main.main(whole_run.command("run", file, workdir, *words)) == 2
    assert_states(
        capsys.readouterr().err, "tracking.tracker", package, "alambic[mlflow]"
    )
    assert not (workdir / "teacher").exists()


@pytest.mark.slow
def test_a_demo_run_s_store_holds_metrics_report_and_model(
    tmp_path, tfds_dir, store, capsys
):
    file = whole_run.write_config(tmp_path, tfds_dir)
    path = epath.Path(tmp_path / "workdir")
    sent = settings_of(store, experiment="demo", register_as="demo")
    words = [f"--set={setting}" for setting in (*sent, "seeds=[0]")]
    # Two processes of one run.
    for stage in ("teacher", "run"):
        assert (
            main.main(whole_run.command(stage, file, tmp_path / "workdir", *words)) == 0
        )
    client = MlflowClient(store, store)
    found = runs_of(client, "demo")
    trainings = {
        "teacher": "teacher",
        "student seed 0": "student/seed-0",
        "baseline seed 0": "baseline/seed-0",
    }
    assert found.keys() == {"small", *trainings}
    for name, folder in trainings.items():
        assert history(client, found[name].info.run_id) == lines(path / folder)
    whole, student = found["small"], found["student seed 0"]
    results = json.loads((path / "results.json").read_text())["models"]
    told = whole.data.metrics
    for role in ("teacher", "student", "baseline"):
        assert told[f"{role}/test/accuracy"] == results[role]["mean"]["accuracy"]
    for name in ("results.json", "report/index.html"):
        assert artifact(whole, name).read_bytes() == (path / name).read_bytes()
    pictures = [x.path for x in client.list_artifacts(whole.info.run_id, "report")]
    assert len(pictures) == 1 + len(list((tmp_path / "workdir/report").glob("*.png")))
    model = artifact(student, "model/model.keras")
    assert model.read_bytes() == (path / "student/seed-0/model.keras").read_bytes()
    [version] = client.search_model_versions("name='demo'")
    assert version.run_id == student.info.run_id
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    # From the workdir alone there is no more to send.
    capsys.readouterr()
    words = ["trainer", "track", f"--workdir={path}"]
    assert main.main(words) == 0
    assert_states(capsys.readouterr().out, "0 lines", "0 files")
