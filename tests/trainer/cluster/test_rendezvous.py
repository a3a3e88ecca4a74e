"""Workers that meet before TensorFlow starts, in threads that stand for processes."""

import errno
import os
import socket
import threading
import time

import pytest

from tests.helpers.groups import free_ports
from tests.helpers.messages import assert_states
from tests.helpers.strangers import Puppet, wait_for
from tests.helpers.threads import in_parallel
from trainer.cluster import rendezvous
from trainer.cluster.rendezvous import PeerLostError
from trainer.cluster.tf_config import Cluster, ClusterError


@pytest.fixture
def clusters():
    """The cluster as each of three workers sees it."""
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(3))
    names = ("chief-0", "worker-0", "worker-1")
    return [Cluster(names=names, addresses=addresses, rank=rank) for rank in range(3)]


def meet(cluster, said=None, *, delay=0.0, timeout_secs=20.0, **statement):
    time.sleep(delay)
    rendezvous.meet(
        cluster,
        {"TensorFlow": "2.21.0", "distill.alpha": 0.5, "shape": (1, 2)} | statement,
        timeout_secs=timeout_secs,
        say=([] if said is None else said).append,
        report_every_secs=0.3,
    )
    return time.monotonic()


@pytest.mark.parametrize("late", [0, 2])
def test_all_go_on_when_the_last_one_is_there(clusters, late):
    said = [[] for _ in clusters]
    started = time.monotonic()
    times = in_parallel(
        *(
            lambda c=c: meet(c, said[c.rank], delay=4.0 * (c.rank == late))
            for c in clusters
        )
    )
    assert all(4.0 < at - started < 15 for at in times)
    assert max(times) - min(times) < 5
    missing = clusters[0].titles([late])
    for rank in {0, 1, 2} - {late}:
        # The first time some may not have found the chief yet.
        reason = ": Connection refused" if late == 0 else ""
        waited_for = f"waiting for {missing}{reason} ("
        assert any(sentence.startswith(waited_for) for sentence in said[rank])
    # TensorFlow takes the chief's port over.
    _, _, port = clusters[0].addresses[0].rpartition(":")
    socket.create_server(("127.0.0.1", int(port))).close()


def test_different_statements_are_told_on_all_workers(clusters):
    errors = in_parallel(
        lambda: meet(clusters[0]),
        lambda: meet(clusters[1]),
        lambda: meet(clusters[2], TensorFlow="2.22.0"),
    )
    assert {type(error) for error in errors} == {ClusterError}
    (message,) = {str(error) for error in errors}
    assert_states(message, "chief-0", "worker-1", "TensorFlow", "'2.21.0'", "'2.22.0'")


def test_a_setting_that_one_worker_lacks_is_a_difference(clusters):
    errors = in_parallel(
        lambda: meet(clusters[0]),
        lambda: meet(clusters[1], new="x"),
        lambda: meet(clusters[2]),
    )
    assert_states(str(errors[1]), "chief-0", "worker-0", "new", None, "'x'")


def test_who_did_not_come_is_named_on_all_workers(clusters):
    errors = in_parallel(*(lambda c=c: meet(c, timeout_secs=1.5) for c in clusters[:2]))
    assert {type(error) for error in errors} == {PeerLostError}
    (message,) = {str(error) for error in errors}
    facts = ("2 s", "runtime.rendezvous_secs", clusters[0].titles([2]), "TF_CONFIG")
    assert_states(message, *facts)


def test_a_worker_that_was_started_again_meets_once(clusters):
    port = int(clusters[0].addresses[0].rpartition(":")[2])

    def first_life():
        wait_for(port)
        gone = Puppet(port, b"", rank=2, host="", statement={"TensorFlow": "1.0"})
        assert "waiting" in gone.hear()
        gone.connection.close()
        return meet(clusters[2])

    times = in_parallel(
        lambda: meet(clusters[0]),
        lambda: meet(clusters[1], delay=0.5),
        first_life,
    )
    assert all(isinstance(at, float) for at in times), times


@pytest.mark.slow
def test_a_port_that_somebody_else_has_is_waited_for(clusters):
    _, _, port = clusters[0].addresses[0].rpartition(":")
    said = []
    with socket.create_server(("", int(port))) as other:
        threading.Timer(1.0, other.close).start()
        outcomes = in_parallel(
            lambda: meet(clusters[0], said),
            *(lambda c=c: meet(c, delay=1.5) for c in clusters[1:]),
        )
    assert all(isinstance(at, float) for at in outcomes), outcomes
    assert_states(said[0], port, "127.0.0.1", os.strerror(errno.EADDRINUSE))


@pytest.mark.slow
def test_a_name_that_does_not_resolve_is_said(clusters):
    addresses = ("no-such-host.invalid:1", *clusters[1].addresses[1:])
    lost = Cluster(names=clusters[1].names, addresses=addresses, rank=1)
    said = []
    # The end of a worker's patience is ten seconds after the chief's.
    meeting = threading.Thread(
        target=in_parallel,
        args=(lambda: meet(lost, said, timeout_secs=0.5),),
        daemon=True,
    )
    meeting.start()
    time.sleep(2)
    assert said
    assert_states(said[0], "chief-0", "no-such-host.invalid:1")
    assert "refused" not in said[0]


def test_workers_meet_at_addresses_of_ipv6_too(clusters):
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    addresses = [a.replace("127.0.0.1", "[::1]") for a in clusters[0].addresses]
    six = [
        Cluster(names=c.names, addresses=tuple(addresses), rank=c.rank)
        for c in clusters
    ]
    outcomes = in_parallel(*(lambda c=c: meet(c) for c in six))
    assert [type(outcome) for outcome in outcomes] == [float] * 3, outcomes


def test_who_answers_no_more_is_absent(clusters):
    chief = clusters[0]
    _, _, port = chief.addresses[2].rpartition(":")
    with socket.create_server(("127.0.0.1", int(port))):
        assert rendezvous.absent(chief) == [1]
    assert rendezvous.absent(chief) == [1, 2]
