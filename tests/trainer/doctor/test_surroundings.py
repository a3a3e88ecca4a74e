"""What doctor says of peers, shared memory and the clock, in a cluster or a pod."""

import concurrent.futures
import json
import re
import socket
import time

import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.examinations import Findings, quick
from tests.helpers.messages import assert_states, refused
from trainer.cluster.tf_config import Cluster
from trainer.config import ConfigError
from trainer.doctor import diagnostics, environment
from trainer.storage import disk_space


def examine(capsys, folder, *addresses: str, rank: int = 0):
    """Topics of failed checks, and findings, of one process of such a cluster."""
    own = Cluster(
        names=tuple(f"worker-{i}" for i in range(len(addresses))),
        addresses=addresses,
        rank=rank,
    )
    written = diagnostics.Check("workdir", lambda: iter(["written"]))
    checks = environment.checks(own if addresses else None, epath.Path(folder))
    failed = diagnostics.run([written, *checks])
    return failed, Findings(capsys.readouterr().out)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent():
    """An address of this machine at which nobody answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_peers_are_told_with_their_numbers_and_who_answers(
    capsys, tmp_path, listener, silent
):
    port = listener.rpartition(":")[2]
    failed, told = examine(capsys, tmp_path, "127.0.0.1:1", f"localhost:{port}", silent)
    assert failed == ()
    first, second = told["peers"]
    assert re.fullmatch(rf"worker-1 \(localhost:{port}\) is at .*", first[1])
    assert "127.0.0.1" in first[1]
    assert second == ("ok", f"worker-2 ({silent}) is at 127.0.0.1")
    [(mark, ports)] = told["peer ports"]
    assert mark == "note"
    assert_states(ports, "1 of 2", f"worker-2 ({silent})")
    assert "worker-1" not in ports


def test_where_all_answer_nobody_is_named(capsys, tmp_path, listener):
    _, told = examine(capsys, tmp_path, "127.0.0.1:1", listener)
    assert told["peer ports"] == [("note", "1 of 1 peers answer")]


def test_names_that_do_not_resolve_fail_together(capsys, tmp_path, listener):
    failed, told = examine(
        capsys, tmp_path, listener, "absent.invalid:2222", "127.0.0.1:3", "a..b:2222"
    )
    assert failed == ("peers",)
    mark, text = told["peers"][0]
    assert mark == "ok"
    assert_states(text, "worker-2 (127.0.0.1:3)", "at 127.0.0.1")
    message = dict(told["peers"])["FAILED"]
    assert_states(message, "worker-1 (absent.invalid:2222)", "worker-3 (a..b:2222)")
    assert_states(message, "headless service", "pod")
    assert told["peer ports"] == [("skipped", "needs peers")]


@pytest.mark.parametrize(
    ("address", "facts"),
    [
        ("127.0.0.1:2222", ["this machine's 127.0.0.1"]),
        ("[::1]:2222", ["::1"]),
        # Of a net that is set aside for documentation.
        ("192.0.2.1:2222", ["at 192.0.2.1", "not have"]),
        ("absent.invalid:2222", ["not resolve"]),
    ],
)
def test_the_own_address_is_compared_with_the_machine_s(
    capsys, tmp_path, address, facts
):
    failed, told = examine(capsys, tmp_path, "127.0.0.1:1", address, rank=1)
    assert failed == ()
    ((mark, text),) = told["own address"]
    assert mark == "note"
    assert_states(text, f"worker-1 ({address})", *facts)


def test_several_gpus_need_a_gibibyte_of_shared_memory(small_disk):
    with refused(ConfigError, "1.07 GB", "2 GPUs", "1.0 MB", "emptyDir"):
        environment._free_shared_memory(small_disk, num_replicas=2)


@pytest.mark.parametrize("num_replicas", [0, 1])
def test_others_are_told_how_much_is_free(small_disk, num_replicas):
    (small_disk / "filler").write_bytes(bytes(2**19))
    told = environment._free_shared_memory(small_disk, num_replicas=num_replicas)
    assert_states(told, "524.3 kB of 1.0 MB")


def test_a_process_alone_is_told_of_shared_memory_and_the_clock(capsys, tmp_path):
    failed, told = examine(capsys, tmp_path / "new" / "workdir")
    assert failed == ()
    assert list(told) == ["workdir", "shared memory", "clock", "result"]
    assert told["shared memory"][0][0] == "note"
    ((mark, text),) = told["clock"]
    assert mark == "ok"
    assert_states(text, "5 s", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("secs", "said"), [(60, "60 s ahead"), (-60, "60 s behind"), (4, "")]
)
def test_a_clock_that_is_not_the_disk_s_fails(
    capsys, tmp_path, monkeypatch, secs, said
):
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + secs)
    failed, told = examine(capsys, tmp_path)
    assert failed == (("clock",) if said else ())
    assert said in told.text("clock")
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_not_asked_for_the_time(capsys, store):
    assert "clock" not in examine(capsys, store)[1]


def test_workers_may_try_to_write_to_their_workdir_at_once(tmp_path):
    def try_often(_) -> None:
        for _ in range(30):
            disk_space.try_writing(epath.Path(tmp_path), num_bytes=1)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(try_often, range(4)))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    return whole_run.write_config(tmp_path_factory.mktemp("doctor"), tfds_dir)


def test_doctor_in_a_pod_looks_around(config, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    _, told = quick(config, tmp_path)
    assert list(told)[4:7] == ["shared memory", "clock", "run"]


def test_doctor_in_a_cluster_looks_at_its_peers_first(
    config, tmp_path, monkeypatch, listener, silent
):
    jobs = {"worker": [listener, silent]}
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))
    _, told = quick(config, tmp_path)
    around = ["own address", "peers", "peer ports", "shared memory", "clock"]
    assert list(told)[4:9] == around
    ((mark, text),) = told["peers"]
    assert mark == "ok"
    assert_states(text, f"worker-0 ({listener})", "at 127.0.0.1")
    assert told.with_mark("FAILED") == {"dataset", "result"}
