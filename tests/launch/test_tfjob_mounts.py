"""What `tfjob validate` says of files that the pods would not find, or not keep."""

import copy

import pytest

from tests.helpers.manifests import (
    container_of,
    launch,
    of_kind,
    pod_of,
    printed,
    printed_once,
    write,
)
from tests.helpers.messages import assert_states
from tests.helpers.repository import REPOSITORY


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def change_word(job, prefix, word):
    words = container_of(job)["command"]
    words[:] = [word if old.startswith(prefix) else old for old in words]


def change_volume(job, name, **source):
    volumes = pod_of(job)["volumes"]
    volumes[:] = [
        {"name": name, **source} if old["name"] == name else old for old in volumes
    ]


ERRORS = {
    "a ConfigMap of another name": (
        lambda job: change_volume(job, "config", configMap={"name": "demo-cfg"}),
        ("--config=/etc/alambic/mnist_mini.toml", "ConfigMap demo-cfg"),
    ),
    "a file that is no key": (
        lambda job: change_word(job, "--config=", "--config=/etc/alambic/mini.toml"),
        ("--config=/etc/alambic/mini.toml", "ConfigMap demo-config", "mnist_mini.toml"),
    ),
    "a workdir in the image": (
        lambda job: change_word(job, "--workdir=", "--workdir=/runs/demo"),
        ("--workdir", "mountPath", "'/runs/demo'"),
    ),
    "a workdir beside the claim": (
        lambda job: change_word(job, "--workdir=", "--workdir=/mnt/alambic2"),
        ("--workdir", "mountPath", "'/mnt/alambic2'"),
    ),
    "a workdir in the pod's own scratch": (
        lambda job: change_word(job, "--workdir=", "--workdir=/tmp/runs"),
        ("--workdir", "mountPath", "'/tmp/runs'"),
    ),
    "a workdir without a place": (
        lambda job: change_word(job, "--workdir=", "--workdir=runs"),
        ("--workdir", "mountPath", "'runs'"),
    ),
    "fewer GPUs than are needed": (
        lambda job: container_of(job)["resources"]["limits"].update(
            {"nvidia.com/gpu": 2}
        ),
        ("runtime.min_gpus", "2 GPUs", "--gpus-per-worker", 4),
    ),
}
SOUND = {
    "a bucket": lambda job: change_word(job, "--workdir=", "--workdir=gs://bucket/run"),
    "the claim itself": lambda job: change_word(
        job, "--workdir=", "--workdir=/mnt/alambic/"
    ),
    "a config in the image": lambda job: change_word(
        job, "--config=", "--config=/app/configs/mnist_mini.toml"
    ),
    "a key under another name": lambda job: (
        change_volume(
            job,
            "config",
            configMap={
                "name": "demo-config",
                "items": [{"key": "mnist_mini.toml", "path": "mini.toml"}],
            },
        ),
        change_word(job, "--config=", "--config=/etc/alambic/mini.toml"),
    ),
}


def validate(change, tmp_path):
    documents = copy.deepcopy(printed_once())
    change(of_kind(documents, "TFJob"))
    return launch("validate", write(tmp_path / "manifest.yaml", documents))


@pytest.mark.parametrize("case", ERRORS)
def test_what_the_pods_would_not_have_is_an_error(case, tmp_path, capsys):
    change, facts = ERRORS[case]
    assert validate(change, tmp_path) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert_states(line, *facts)


@pytest.mark.parametrize("case", SOUND)
def test_what_the_pods_have_is_left_alone(case, tmp_path, capsys):
    assert validate(SOUND[case], tmp_path) == 0
    assert capsys.readouterr().err == ""


def test_a_config_map_that_is_in_the_cluster_already_is_not_looked_for(tmp_path):
    job = copy.deepcopy(of_kind(printed_once(), "TFJob"))
    assert launch("validate", write(tmp_path / "job.yaml", [job])) == 0


def test_least_gpus_are_checked_without_the_config_too(tmp_path, capsys):
    job = copy.deepcopy(of_kind(printed_once(), "TFJob"))
    container_of(job)["resources"]["limits"]["nvidia.com/gpu"] = 2
    assert launch("validate", write(tmp_path / "job.yaml", [job])) == 2
    assert_states(capsys.readouterr().err, "runtime.min_gpus", "2 GPUs")


def test_the_config_of_a_schedule_s_jobs_is_looked_for(tmp_path, capsys):
    documents = printed(capsys, "--cron=@daily")
    holder = next(d for d in documents if "job.yaml" in d.get("data", {}))
    text = holder["data"]["job.yaml"]
    holder["data"]["job.yaml"] = text.replace("name: demo-config", "name: demo-c")
    assert launch("validate", write(tmp_path / "cron.yaml", documents)) == 2
    assert_states(capsys.readouterr().err, "--config", "ConfigMap demo-c")
