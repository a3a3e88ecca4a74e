"""Studies and sweeps as TensorBoard's own HParams plugin reads them."""

import json

import pytest
from etils import epath
from tensorboard import context
from tensorboard.backend.event_processing import (
    data_provider,
    plugin_event_multiplexer,
)
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from tests.helpers.begun_work import unpacked
from trainer import report


def shown(folder):
    """The sessions that the plugin lists, by their groups, and the experiment."""
    events = plugin_event_multiplexer.EventMultiplexer()
    events.AddRunsFromDirectory(str(folder))
    events.Reload()
    provider = data_provider.MultiplexerDataProvider(events, str(folder))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    asking = context.RequestContext()
    tags = backend.hparams_metadata(asking, "")
    experiment = backend.experiment_from_metadata(asking, "", True, tags, [])
    statuses = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]
    request = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=statuses, start_index=0, slice_size=100
    )
    for info in experiment.hparam_infos:
        request.col_params.add(hparam=info.name, include_in_result=True)
    for info in experiment.metric_infos:
        request.col_params.add(metric=info.name, include_in_result=True)
    found = list_session_groups.Handler(asking, backend, "", request).run()
    return {group.name: group for group in found.session_groups}, experiment


def settings_of(group):
    return {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in group.hparams.items()
    }


def metrics_of(group):
    return {value.name.tag: value.value for value in group.metric_values}


def test_the_cells_of_a_study_that_are_over_are_sessions(tmp_path):
    workdir = epath.Path(unpacked("study", tmp_path) / "workdir")
    study = json.loads((workdir / "study.json").read_text())
    del study["checksum"]
    waiting = study["cells"][1]
    for _ in range(2):  # the second takes the place of the first
        report.write_hparams(workdir)
    groups, experiment = shown(workdir)
    assert groups.keys() == {"alpha=0.5"}
    assert settings_of(groups["alpha=0.5"]) == {"distill.alpha": 0.5}
    mean = study["cells"][0]["models"]["student"]["mean"]
    found = metrics_of(groups["alpha=0.5"])
    assert found["student/accuracy"] == pytest.approx(mean["accuracy"], rel=1e-6)
    assert found["gain"] == study["cells"][0]["gain"]["errors"]["mean"]
    [info] = experiment.hparam_infos
    assert (info.name, info.display_name) == ("distill.alpha", "alpha")
    # One that diverges is a session without numbers.
    waiting["status"] = "diverged"
    (workdir / "study.json").write_text(json.dumps(study))
    report.write_hparams(workdir)
    groups, _ = shown(workdir)
    [session] = groups["alpha=0.9"].sessions
    assert session.status == api_pb2.STATUS_FAILURE
    [session] = groups["alpha=0.5"].sessions
    assert session.status == api_pb2.STATUS_SUCCESS


def test_the_trials_of_a_sweep_have_the_metric_that_is_looked_for(tmp_path):
    workdir = epath.Path(unpacked("sweep", tmp_path) / "workdir")
    sweep = json.loads((workdir / "sweep.json").read_text())
    report.write_hparams(workdir)
    groups, experiment = shown(workdir)
    trials = {
        trial["cell"]: trial
        for trial in sweep["trials"]
        if trial["status"] not in ("running", "waiting")
    }
    assert groups.keys() == trials.keys()
    for name, trial in trials.items():
        sizes = "-".join(map(str, trial["settings"]["student.options.hidden_sizes"]))
        assert settings_of(groups[name]) == {
            "distill.temperature": trial["settings"]["distill.temperature"],
            "student.options.hidden_sizes": sizes,
        }
        found = metrics_of(groups[name])
        assert found == {sweep["metric"]: pytest.approx(trial["value"], rel=1e-6)}
    assert [info.name.tag for info in experiment.metric_infos] == [sweep["metric"]]


def test_settings_of_any_kind_are_shown(tmp_path):
    workdir = epath.Path(unpacked("sweep", tmp_path) / "workdir")
    sweep = json.loads((workdir / "sweep.json").read_text())
    del sweep["checksum"]
    first, second = sweep["trials"][:2]
    names = ("student.options.hidden_sizes", "student.train.ema", "distill.top_k")
    values = (([4], 0, True), ([8, 8], 0.5, False))
    sweep["space"] = {name: [] for name in names}
    for trial, own in zip((first, second), values, strict=True):
        trial["settings"] = dict(zip(names, own, strict=True))
    (workdir / "sweep.json").write_text(
        json.dumps(sweep | {"trials": [first, second], "best": None})
    )
    report.write_hparams(workdir)
    groups, _ = shown(workdir)
    found = [settings_of(groups[trial["cell"]]) for trial in (first, second)]
    assert [each["student.options.hidden_sizes"] for each in found] == ["4", "8-8"]
    assert [each["student.train.ema"] for each in found] == [0.0, 0.5]
    assert [each["distill.top_k"] for each in found] == [True, False]
