"""TF_CONFIG of one task is no cluster; more are refused."""

import json

import pytest

from trainer import cluster


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "  ",
        "{}",
        json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}),
    ],
)
def test_a_process_alone_is_accepted(monkeypatch, text):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    cluster.require_single_task()


def test_two_tasks_are_refused_with_their_addresses(monkeypatch):
    tasks = {"chief": ["a:1"], "worker": ["b:2"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": tasks}))
    with pytest.raises(
        cluster.ClusterError, match=r"got 2 \(a:1, b:2\).*TF_CONFIG unset"
    ):
        cluster.require_single_task()


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"cluster": 3}', '{"cluster": {"a": 1}}']
)
def test_what_is_no_cluster_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(cluster.ClusterError, match="must be JSON"):
        cluster.require_single_task()
