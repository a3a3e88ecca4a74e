"""Who may take part in the meeting of workers, and what others cost them."""

import contextlib
import errno
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest
from etils import epath

from tests.helpers import stores
from tests.helpers.groups import free_ports
from tests.helpers.messages import assert_states, refused
from tests.helpers.repository import REPOSITORY
from tests.helpers.strangers import KINDS, Puppet, connected, heard_of, wait_for
from tests.helpers.threads import in_parallel
from tests.helpers.waiting_chiefs import cluster_at
from trainer.cluster import rendezvous, tf_config
from trainer.cluster.rendezvous import PeerLostError, Secret, messages, peers
from trainer.cluster.rendezvous.secret import SecretError
from trainer.cluster.rendezvous.statement import bound
from trainer.cluster.tf_config import ClusterError
from trainer.storage import files

HERE = socket.gethostname()
STATEMENT = {"x": 1}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv(tf_config.TOKEN_FILE, raising=False)


@pytest.fixture
def port():
    [port] = free_ports(1)
    return port


@pytest.fixture
def secret(tmp_path):
    return Secret.of_workdir(epath.Path(tmp_path))


def meet(port, rank, secret, *, timeout_secs=20.0, said=None, **statement):
    started = time.monotonic()
    rendezvous.meet(
        cluster_at(port, rank),
        STATEMENT | statement,
        timeout_secs=timeout_secs,
        say=([] if said is None else said).append,
        secret=secret,
        report_every_secs=0.3,
    )
    return time.monotonic() - started


@pytest.mark.parametrize("comes", [True, False])
def test_strangers_cost_the_workers_nothing(tmp_path, comes):
    ports = free_ports(len(KINDS))
    secs = 60 if comes else 4
    with contextlib.ExitStack() as stack:
        command = [
            "tests.helpers.waiting_chiefs",
            str(tmp_path),
            str(secs),
            *map(str, ports),
        ]
        chiefs = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=REPOSITORY,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(chiefs.kill)
        assert chiefs.stdout.readline() == "listening\n"
        started = time.monotonic()
        for port, visit in zip(ports, KINDS.values(), strict=True):
            wait_for(port)
            visit(port, stack)
        if comes:
            secret = Secret.of_workdir(epath.Path(tmp_path))
            secs = in_parallel(*(lambda p=p: meet(p, 1, secret) for p in ports))
            assert all(each < 5 for each in secs), secs
        codes = json.loads(chiefs.stdout.readline())
        assert codes == [0 if comes else 138] * len(ports)
        assert comes or time.monotonic() - started < 10
        assert int(chiefs.stdout.readline()) < 50_000


def outcome_beside(port, secret, visit, *, timeout_secs=20.0):
    """What the chief's meeting comes to while `visit` is made, and what that gives."""

    def visited():
        wait_for(port)
        return visit()

    return in_parallel(
        lambda: meet(port, 0, secret, timeout_secs=timeout_secs), visited
    )


def test_a_refused_stranger_is_told_nothing_about_the_run(port, secret):
    def visit():
        with contextlib.ExitStack() as stack:
            connection = connected(port, stack)
            own = messages.Conversation(messages.WORKER, b"another secret")
            connection.sendall(own.greeting())
            heard = connection.recv(65536)
            own.greet(heard.partition(b"\n")[0])
            connection.sendall(own.seal({"rank": 1, "host": "", "statement": {}}))
            heard += heard_of(connection)
        meet(port, 1, secret)
        return heard

    chief, heard = outcome_beside(port, secret, visit)
    assert isinstance(chief, float), chief
    # A nonce and an HMAC of one that the stranger chose.
    assert re.fullmatch(
        rb'alambic [0-9a-f]{64}\n[0-9a-f]{64} {"welcome": true}\n', heard
    )


@pytest.mark.parametrize(
    ("host", "told", "facts"),
    [
        (HERE, "refused", (HERE,)),
        ("elsewhere", "lost", (HERE, "elsewhere")),
    ],
)
def test_a_live_worker_keeps_its_place(port, secret, host, told, facts):
    known = secret.read_or_create()

    def meet_of_three(rank):
        names = ("worker-0", "worker-1", "worker-2")
        places = (f"127.0.0.1:{port}", f"127.0.0.1:{port}1", f"127.0.0.1:{port}2")
        own = tf_config.Cluster(names=names, addresses=places, rank=rank)
        rendezvous.meet(own, STATEMENT, timeout_secs=20, say=print, secret=secret)
        return 0.0

    def visit():
        wait_for(port)
        first = Puppet(port, known, rank=1, host=HERE, statement=STATEMENT)
        second = Puppet(port, known, rank=1, host=host, statement=STATEMENT)
        with first.connection, second.connection:
            # It has said no more for a while, but is asked before it loses its place.
            assert "waiting" in first.hear()
            first.say({"here": True})
            message = second.answer_for(10)
            last, go = in_parallel(
                lambda: meet_of_three(2), lambda: first.answer_for(10)
            )
            assert (last, go) == (0.0, {"go": True})
        return message

    outcomes = in_parallel(lambda: meet_of_three(0), visit)
    message = outcomes[1]
    assert isinstance(outcomes[0], float), outcomes
    assert list(message) == [told]
    assert_states(message[told], f"worker-1 (127.0.0.1:{port}1)", *facts)


@pytest.mark.parametrize("told", ["refused", "lost"])
def test_a_worker_whose_place_is_taken_ends_with_2_or_138(port, secret, told):
    known = secret.read_or_create()

    def chief():
        with socket.create_server(("127.0.0.1", port)) as listener:
            connection, _ = listener.accept()
            with connection:
                own = messages.Conversation(messages.CHIEF, known)
                own.greet(connection.recv(65536).strip())
                connection.sendall(own.greeting() + own.seal({"welcome": True}))
                own.open_message(connection.recv(65536).strip())
                connection.sendall(own.seal({told: "it is there already"}))
                connection.recv(1)

    _, error = in_parallel(chief, lambda: meet(port, 1, secret))
    kinds = {"refused": ClusterError, "lost": PeerLostError}
    assert (type(error), str(error)) == (kinds[told], "it is there already")


@pytest.mark.slow
def test_a_worker_whose_connection_is_half_dead_is_replaced(port, secret):
    known = secret.read_or_create()

    def visit():
        first = Puppet(port, known, rank=1, host=HERE, statement={"x": 2})
        secs = meet(port, 1, secret)
        first.connection.close()
        return secs

    chief, secs = outcome_beside(port, secret, visit)
    assert isinstance(chief, float), chief
    assert 2 < secs < 10


@pytest.mark.parametrize("rank", [0, -1, 2, 10**30])
def test_a_rank_that_the_cluster_does_not_have_is_refused_alone(port, secret, rank):
    known = secret.read_or_create()

    def visit():
        guest = Puppet(port, known, rank=rank, host=HERE, statement=STATEMENT)
        message = guest.hear()
        guest.connection.close()
        return message, meet(port, 1, secret)

    chief, (message, secs) = outcome_beside(port, secret, visit)
    assert isinstance(chief, float), chief
    facts = (1, f"worker-0 (127.0.0.1:{port})", rank)
    assert_states(message["refused"], *facts)
    assert secs < 3


@pytest.mark.parametrize("rank", [True, 1.0, float("inf"), "1", None, [1]])
def test_what_is_no_rank_is_no_worker_even_with_the_secret(port, secret, rank):
    known = secret.read_or_create()

    def visit():
        guest = Puppet(port, known, rank=rank, host=HERE, statement=STATEMENT)
        with contextlib.suppress(ConnectionError):
            assert guest.hear() is None
        guest.connection.close()
        return meet(port, 1, secret)

    assert [type(each) for each in outcome_beside(port, secret, visit)] == [float] * 2


def test_without_a_workdir_the_limits_alone_hold(port):
    def visit():
        with contextlib.ExitStack() as stack:
            for kind in ("an infinite rank", "brackets", "a worker's rank"):
                KINDS[kind](port, stack)
        return meet(port, 1, None)

    assert [type(each) for each in outcome_beside(port, None, visit)] == [float] * 2


def test_a_worker_waits_for_a_secret_and_reads_it_again(port, tmp_path, secret):
    """It comes first, with what a removed workdir held."""
    (tmp_path / "rendezvous.token").write_text("0" * 64)

    def chief():
        time.sleep(0.2)
        (tmp_path / "rendezvous.token").unlink()
        return meet(port, 0, secret)

    def worker():
        secret.read()
        return meet(port, 1, secret)

    outcomes = in_parallel(worker, chief)
    assert [type(each) for each in outcomes] == [float] * 2, outcomes


def test_workers_that_see_different_workdirs_are_told_so(port, tmp_path):
    ours, theirs = (Secret.of_workdir(epath.Path(tmp_path / name)) for name in "ab")
    theirs.read_or_create()
    # The end of a worker's patience is ten seconds after the chief's.
    chief, told = in_parallel(
        lambda: meet(port, 0, ours, timeout_secs=0.6),
        lambda: meet(port, 1, theirs, timeout_secs=-8.7),
    )
    assert {type(chief), type(told)} == {PeerLostError}
    assert_states(str(chief), "another workdir")
    refused_by_system = os.strerror(errno.ECONNREFUSED)
    facts = (f"{tmp_path}/b/rendezvous.token", "different workdirs", refused_by_system)
    assert_states(str(told), *facts)


def test_a_stranger_in_the_chief_s_place_ends_no_worker(port, secret):
    lines = (
        b"alambic " + b"0" * 64 + b'\n{"refused": "x"}\n',
        b"alambic " + b"0" * 64 + b"\n" + b"x" * 2**20,
    )
    secret.read_or_create()

    def deceive():
        with socket.create_server(("127.0.0.1", port)) as listener:
            for line in lines:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(ConnectionError):
                    heard = connection.recv(65536)
                    connection.sendall(line)
                    heard += heard_of(connection)
                assert re.fullmatch(rb"alambic [0-9a-f]{64}\n", heard)
        return meet(port, 0, secret)

    outcomes = in_parallel(deceive, lambda: meet(port, 1, secret))
    assert [type(each) for each in outcomes] == [float] * 2, outcomes


def test_a_secret_that_is_not_there_is_named_once_the_chief_is(port, secret):
    with refused(PeerLostError, "worker-0", os.strerror(errno.ECONNREFUSED)):
        meet(port, 1, secret, timeout_secs=-9.9)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(PeerLostError) as told,
    ):
        meet(port, 1, secret, timeout_secs=-9.9)
    assert_states(str(told.value), secret.path, "chief", "different workdirs")


def test_the_secret_is_made_once_for_its_owner_and_who_may_read_the_workdir(tmp_path):
    for mode, expected in ((0o700, 0o600), (0o750, 0o640), (0o755, 0o640)):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        os.chown(folder, -1, os.getgid())
        secret = Secret.of_workdir(epath.Path(folder))
        known = secret.read_or_create()
        file = folder / "rendezvous.token"
        assert file.stat().st_mode & 0o777 == expected
        assert len(set(known)) > 5
        assert len(known) == 64
        assert secret.read_or_create() == known
        assert Secret.of_workdir(epath.Path(folder)).read() == known
        assert [path.name for path in folder.iterdir()] == ["rendezvous.token"]


def test_those_who_make_the_secret_at_once_have_one(tmp_path):
    for i in range(10):
        folder = tmp_path / str(i)
        secrets = [Secret.of_workdir(epath.Path(folder)) for _ in range(8)]
        known = in_parallel(*(secret.read_or_create for secret in secrets))
        assert len(set(known)) == 1
        assert [path.name for path in folder.iterdir()] == ["rendezvous.token"]


def test_a_store_keeps_the_secret_too(store):
    known = Secret.of_workdir(store).read_or_create()
    assert stores.contents(f"{store}/rendezvous.token").strip() == known
    assert Secret.of_workdir(store).read() == known
    assert Secret.of_workdir(store).read_or_create() == known


def test_a_given_file_stands_in_place_of_the_workdir_s(tmp_path, monkeypatch):
    given = tmp_path / "given"
    monkeypatch.setenv(tf_config.TOKEN_FILE, str(given))
    secret = Secret.of_workdir(epath.Path(tmp_path / "workdir"))
    with refused(files.StorageError, given, tf_config.TOKEN_FILE):
        secret.read_or_create()
    for text in ("", " \n", "short\n", "x" * 5000):
        given.write_text(text)
        with refused(files.StorageError, given, 16):
            secret.read_or_create()
    given.write_text("sixteen bytes or more\n")
    assert secret.read_or_create() == secret.read() == b"sixteen bytes or more"
    assert not (tmp_path / "workdir").exists()


def test_a_secret_that_cannot_be_read_is_told_at_once_with_the_variable(tmp_path, port):
    secret = Secret.of_workdir(epath.Path(tmp_path))
    (tmp_path / "rendezvous.token").mkdir()  # not even root reads that
    with refused(SecretError, tf_config.TOKEN_FILE):
        secret.read()
    said = []
    with refused(PeerLostError, os.strerror(errno.EISDIR), tf_config.TOKEN_FILE):
        meet(port, 1, secret, timeout_secs=-9.5, said=said)
    assert_states(said[0], secret.path)
    with refused(files.StorageError, secret.path, os.strerror(errno.EISDIR)):
        secret.read_or_create()


@pytest.mark.parametrize(
    ("addresses", "listens_at"),
    [
        (("127.0.0.1:{}", "127.0.0.1:1"), "127.0.0.1"),
        (("127.0.0.2:{}", "localhost:1"), "127.0.0.2"),
        (("[::1]:{}", "[::1]:1"), "::1"),
        (("machine:{}", "other:1"), "::"),
    ],
)
def test_the_chief_listens_where_its_workers_are(port, addresses, listens_at):
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    places = tuple(address.format(port) for address in addresses)
    own = tf_config.Cluster(names=("worker-0", "worker-1"), addresses=places, rank=0)
    with peers.listener(own) as listener:
        assert listener.getsockname()[:2] == (listens_at, port)


def test_a_statement_of_any_size_fits_into_a_line():
    long = {"data.columns": list(range(10_000)), "seeds": (0, 1)}
    other = {"data.columns": list(range(10_001)), "seeds": (0, 1)}
    assert bound(long) == bound(dict(long))
    assert bound(long)["seeds"] == [0, 1]
    assert bound(long)["data.columns"] != bound(other)["data.columns"]
    many = {f"teacher.members[{i}].alpha": i / 7 for i in range(5_000)}
    first, second = bound(many | {"x": 1}), bound(many | {"x": 1, "teacher.y": 2})
    assert first["x"] == second["x"] == 1
    assert first["teacher"] != second["teacher"]
    own = messages.Conversation(messages.WORKER, b"")
    own.greet(messages.Conversation(messages.CHIEF, b"").greeting().strip())
    for statement in (long, many):
        line = own.seal({"rank": 10**6, "statement": bound(statement)})
        assert len(line) < messages.MAX_LINE_BYTES


def test_a_line_is_understood_once_and_by_the_other_side_alone():
    chief = messages.Conversation(messages.CHIEF, b"secret")
    worker = messages.Conversation(messages.WORKER, b"secret")
    worker.greet(chief.greeting().strip())
    chief.greet(worker.greeting().strip())
    line = worker.seal({"rank": 1}).strip()
    with pytest.raises(messages.StrangerError):
        worker.open_message(line)
    assert chief.open_message(line) == {"rank": 1}
    with pytest.raises(messages.StrangerError):
        chief.open_message(line)
    deep = worker.seal({"x": 0}).replace(b"0}", b"1}").strip()
    with pytest.raises(messages.StrangerError):
        chief.open_message(deep)
