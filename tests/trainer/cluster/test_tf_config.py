"""What TF_CONFIG may say, what is made of it, and what to change in what it may not."""

import json
import os

import pytest

from tests.helpers.messages import refused
from trainer.cluster import tf_config

TWO = {"worker": ["a:1", "b:2"]}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("TF_CONFIG", "no_grpc_proxy", "no_proxy"):
        # First set, so that what a test leaves is taken back.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def configure(monkeypatch, jobs, job="worker", index=0, **more):
    task = {"type": job, "index": index}
    text = json.dumps({"cluster": jobs, "task": task, **more})
    monkeypatch.setenv("TF_CONFIG", text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "  ",
        "{}",
        '{"cluster": {}}',
        '{"task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "evaluator": ["b:1"]}, '
        '"task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": []}, "task": {"type": "worker"}}',
    ],
)
def test_one_task_is_no_cluster_and_tensorflow_reads_none(monkeypatch, text):
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    assert tf_config.read() is None
    assert "TF_CONFIG" not in os.environ


def test_two_workers_the_first_is_the_chief(monkeypatch):
    configure(monkeypatch, TWO, index=1, environment="cloud")
    read = tf_config.read()
    assert read == tf_config.Cluster(
        names=("worker-0", "worker-1"), addresses=("a:1", "b:2"), rank=1
    )
    assert (read.size, read.is_chief, read.name) == (2, False, "worker-1")
    assert read.titles([1]) == "worker-1 (b:2)"
    configure(monkeypatch, TWO)
    assert tf_config.read().is_chief


def test_a_chief_comes_before_the_workers(monkeypatch):
    jobs = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    configure(monkeypatch, jobs)
    read = tf_config.read()
    assert read.names == ("chief-0", "worker-0", "worker-1")
    assert read.addresses == ("a:1", "b:2", "c:3")
    assert (read.rank, read.is_chief) == (1, False)


def test_a_master_is_called_chief(monkeypatch):
    configure(monkeypatch, {"master": ["a:1"], "worker": ["b:2"]}, "master", "0")
    read = tf_config.read()
    assert read.names == ("chief-0", "worker-0")
    assert "TF_CONFIG" not in os.environ
    read.announce()
    assert json.loads(os.environ["TF_CONFIG"]) == {
        "cluster": {"chief": ["a:1"], "worker": ["b:2"]},
        "task": {"type": "chief", "index": 0},
    }


@pytest.mark.parametrize(
    ("variables", "direct"),
    [
        ({}, "a.ml.svc,2001:db8::1"),
        ({"no_proxy": "b,.c"}, "b,.c,a.ml.svc,2001:db8::1"),
        ({"no_proxy": "b", "no_grpc_proxy": "d"}, "d,a.ml.svc,2001:db8::1"),
        ({"no_proxy": "b", "no_grpc_proxy": ""}, "a.ml.svc,2001:db8::1"),
    ],
)
def test_workers_are_reached_without_a_proxy(monkeypatch, variables, direct):
    configure(monkeypatch, {"worker": ["a.ml.svc:1", "[2001:db8::1]:2"]})
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tf_config.read().announce()
    variable = "no_grpc_proxy"
    assert os.environ[variable] == direct


def test_an_evaluator_is_left_out(monkeypatch):
    jobs = TWO | {"evaluator": ["e:5"]}
    configure(monkeypatch, jobs)
    read = tf_config.read()
    assert read.size == 2
    read.announce()
    assert json.loads(os.environ["TF_CONFIG"])["cluster"] == TWO
    configure(monkeypatch, jobs, "evaluator")
    with refused(tf_config.NothingToDoError, "evaluator"):
        tf_config.read()


@pytest.mark.parametrize(
    ("jobs", "job", "index", "facts"),
    [
        (TWO | {"ps": ["p:1"]}, "worker", 0, ("got ps", "Worker")),
        ({"worker": {"1": "b:2"}}, "worker", 1, ("sparse", "enableDynamicWorker")),
        (TWO, "worker", 2, ("task.index", 0, 1, 2)),
        (TWO, "worker", -1, ("task.index", "got -1")),
        (TWO, "worker", "x", ("task.index", "integer", "'x'")),
        (TWO, "worker", True, ("task.index", "integer", True)),
        (TWO, "chief", 0, ("task.type", "(worker)")),
        ({"worker": ["a:1", "a:1"]}, "worker", 0, ("differ", "a:1")),
        ({"worker": ["a:1", "localhost:2"]}, "worker", 0, ("localhost:2",)),
        ({"worker": ["a:1", "127.0.1.1:2"]}, "worker", 0, ("127.0.1.1:2",)),
        ({"worker": ["a:1", "[::1]:2"]}, "worker", 0, ("[::1]:2",)),
        ({"worker": ["::1:1", "::1:2"]}, "worker", 0, ("'::1:1'", "'[::1]:1'")),
        ({"worker": ["fe80::1:2", "b:1"]}, "worker", 0, ("'[fe80::1]:2'",)),
        ({"worker": ["[::1:2", "b:1"]}, "worker", 0, ("brackets", "'[::1:2'")),
        ({"worker": ["a:1", "b:99999999"]}, "worker", 0, ("ports", 1, 65535)),
        ({"worker": ["a:1", "b:\u0661"]}, "worker", 0, ("ports", 1, 65535)),
        ({"worker": ["a:1", f"b:{'9' * 5000}"]}, "worker", 0, ("ports", 1, 65535)),
        (TWO, "worker", "9" * 5000, ("task.index", "integer")),
        ({"worker": ["a:1", "b"]}, "worker", 0, ("host:port", "'b'")),
        ({"worker": ["a:1", "b:0"]}, "worker", 0, ("ports", 1, 65535)),
        ({"worker": ["a:1", "b..c:2"]}, "worker", 0, ("'b..c'",)),
        ({"worker": ["a:1", "b" * 64 + ":2"]}, "worker", 0, (1, 63)),
        ({"worker": "a:1"}, "worker", 0, ("list", "addresses")),
        ({"worker": [1, 2]}, "worker", 0, ("list", "addresses")),
        ({"chief": ["a:1", "b:1"]}, "chief", 0, ("one chief", 2)),
        ({"chief": ["a:1"], "master": ["b:1"]}, "chief", 0, ("chief", 2, "(b:1, a:1)")),
    ],
)
def test_what_to_change_is_said(monkeypatch, jobs, job, index, facts):
    configure(monkeypatch, jobs, job, index)
    with refused(tf_config.ClusterError, *facts):
        tf_config.read()


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"cluster": 3}', '{"task": 3}', "[" * 50_000]
)
def test_what_is_no_cluster_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with refused(tf_config.ClusterError, "TF_CONFIG", "JSON"):
        tf_config.read()


def test_workers_of_one_machine_may_all_be_loopback(monkeypatch):
    configure(monkeypatch, {"worker": ["127.0.0.1:1", "localhost:2"]})
    assert tf_config.read().size == 2
