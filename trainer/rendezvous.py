"""The workers of a cluster find each other, and that they are to do the same.

TensorFlow's own start blocks, for up to an hour and with no signal let through, until
the last worker is there, and does not say which one is missing. So the workers meet
before it: each tells the chief what it is about to do, the chief waits for all of them,
compares, and lets all go at once. Messages are JSON, one a line, over TCP to the
chief's address in TF_CONFIG, which TensorFlow takes over afterwards.
"""

import concurrent.futures
import json
import selectors
import socket
import time
from collections.abc import Callable, Mapping

from trainer.cluster import Cluster, ClusterError

REPORT_EVERY_SECS = 30.0

_RETRY_SECS = 0.5
_ANSWER_SECS = 10.0  # for a peer that is there to take a message, or to hang up

Statement = Mapping[str, object]  # what a worker is about to do, name by name


class PeerLostError(RuntimeError):
    """A worker of the cluster is gone, or did not come."""


def meet(
    cluster: Cluster,
    statement: Statement,
    *,
    timeout_secs: float,
    say: Callable[[str], None],
    report_every_secs: float = REPORT_EVERY_SECS,
) -> None:
    """Returns on every worker once all are there and make the same statement.

    Who is missing is said every `report_every_secs` seconds.

    Raises:
      PeerLostError: a worker did not come within `timeout_secs`.
      ClusterError: the statements differ, on every worker.
    """
    # The chief decides when it is over, and tells.
    spare_secs = 0.0 if cluster.is_chief else _ANSWER_SECS
    patience = _Patience(timeout_secs, spare_secs, report_every_secs, say)
    # In JSON's types, as the others' arrive.
    statement = json.loads(json.dumps(statement))
    if cluster.is_chief:
        _Reception(cluster, patience).run(statement)
    else:
        _report_to_chief(cluster, statement, patience)


def absent(cluster: Cluster) -> list[int]:
    """The ranks of the other workers at whose address nobody answers, once they met."""
    others = [rank for rank in range(cluster.size) if rank != cluster.rank]
    # All at once, since silent machines take their time.
    with concurrent.futures.ThreadPoolExecutor(len(others)) as pool:
        present = list(pool.map(_answers, (cluster.addresses[i] for i in others)))
    return [rank for rank, answers in zip(others, present, strict=True) if not answers]


class _Patience:
    """What is said while waiting, and when it is over."""

    def __init__(
        self,
        timeout_secs: float,
        spare_secs: float,
        every_secs: float,
        say: Callable[[str], None],
    ) -> None:
        self._timeout_secs = timeout_secs
        self._every_secs = every_secs
        self._say = say
        self._end = time.monotonic() + timeout_secs + spare_secs
        self._next = time.monotonic() + every_secs

    def spend(self, waiting_for: str) -> None:
        """Says what is waited for, from time to time.

        Raises:
          PeerLostError: the time is over.
        """
        now = time.monotonic()
        if now >= self._end:
            raise PeerLostError(
                f"waited {self._timeout_secs:.0f} s (runtime.rendezvous_secs) for "
                f"{waiting_for}; see that it is started, with the same TF_CONFIG, and "
                "that all workers reach the chief's port"
            )
        if now >= self._next:
            self._next += self._every_secs
            left = max(0.0, self._end - now)
            self._say(f"waiting for {waiting_for} ({left:.0f} s left)")


class _Reception:
    """The chief's side: one connection for each worker that is there."""

    def __init__(self, cluster: Cluster, patience: _Patience) -> None:
        self._cluster = cluster
        self._patience = patience
        self._ranks: dict[socket.socket, int] = {}
        self._statements: dict[int, Statement] = {}
        self._selector = selectors.DefaultSelector()

    def run(self, statement: Statement) -> None:
        """Waits for every worker, compares, and tells all of them."""
        self._statements[0] = statement
        try:
            with self._listening() as listener:
                self._selector.register(listener, selectors.EVENT_READ)
                while missing := self._missing():
                    self._tell({"waiting": missing})
                    self._patience.spend(missing)
                    self._wait(listener)
            problem = _disagreement(self._cluster, self._statements)
            self._tell({"refused": problem} if problem else {"go": True})
            self._wait_until_they_hang_up()
        except PeerLostError as error:
            self._tell({"lost": str(error)})
            raise
        finally:
            for connection in self._ranks:
                connection.close()
            self._selector.close()
        if problem:
            raise ClusterError(problem)

    def _listening(self) -> socket.socket:
        """The socket at the chief's port, once whoever had it has let it go."""
        host, _, port = self._cluster.addresses[0].rpartition(":")
        while True:
            try:
                return _listener(int(port))
            except OSError as error:
                reason = error.strerror
            self._patience.spend(f"port {port} of {host}, its own: {reason}")
            time.sleep(_RETRY_SECS)

    def _missing(self) -> str:
        """Who has not come yet; "" once all have."""
        ranks = range(self._cluster.size)
        return self._cluster.titles([i for i in ranks if i not in self._statements])

    def _wait(self, listener: socket.socket) -> None:
        for key, _ in self._selector.select(_RETRY_SECS):
            if key.fileobj is listener:
                connection, _ = listener.accept()
                self._greet(connection)
            else:
                # It has nothing more to say, so it is gone.
                self._dismiss(key.fileobj)  # type: ignore[arg-type]

    def _greet(self, connection: socket.socket) -> None:
        connection.settimeout(_ANSWER_SECS)
        try:
            hello = json.loads(connection.makefile("rb").readline())
            rank, statement = int(hello["rank"]), dict(hello["statement"])
        except (OSError, ValueError, TypeError, KeyError):
            connection.close()  # no worker, but somebody who looks at ports
            return
        self._ranks[connection] = rank
        self._statements[rank] = statement
        self._selector.register(connection, selectors.EVENT_READ)

    def _dismiss(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        rank = self._ranks.pop(connection)
        connection.close()
        # A worker that was started again may be there on another connection.
        if rank not in self._ranks.values():
            self._statements.pop(rank)

    def _tell(self, message: Mapping[str, object]) -> None:
        for connection in list(self._ranks):
            try:
                _send(connection, message)
            except OSError:
                self._dismiss(connection)

    def _wait_until_they_hang_up(self) -> None:
        # Whoever hangs up first keeps the port busy for a while: TensorFlow needs the
        # chief's.
        for connection in self._ranks:
            try:
                connection.recv(1)
            except OSError:
                continue


def _report_to_chief(
    cluster: Cluster, statement: Statement, patience: _Patience
) -> None:
    """A worker's side: says what it will do, and waits for the chief's word."""
    chief = cluster.titles([0])
    while True:
        try:
            with _connection(cluster.addresses[0]) as connection:
                _send(connection, {"rank": cluster.rank, "statement": statement})
                if _is_let_go(connection, patience, chief):
                    return
                reason = "it hung up"
        except OSError as error:
            reason = error.strerror or str(error)
        patience.spend(f"{chief}: {reason}")
        time.sleep(_RETRY_SECS)


def _listener(port: int) -> socket.socket:
    """At all addresses of this machine: the chief's own name may be a service's."""
    if socket.has_dualstack_ipv6():
        both = socket.AF_INET6
        return socket.create_server(("", port), family=both, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _answers(address: str) -> bool:
    try:
        _connection(address).close()
    except OSError:
        return False
    return True


def _connection(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECS)


def _is_let_go(connection: socket.socket, patience: _Patience, chief: str) -> bool:
    """Whether the chief lets go; else it has hung up without a word."""
    connection.settimeout(_RETRY_SECS)
    received = b""
    waiting_for = chief
    while True:
        try:
            part = connection.recv(65536)
        except TimeoutError:
            patience.spend(waiting_for)
            continue
        if not part:
            return False
        *lines, received = (received + part).split(b"\n")
        for line in lines:
            message = _message(line)
            if "refused" in message:
                raise ClusterError(str(message["refused"]))
            if "lost" in message:
                raise PeerLostError(str(message["lost"]))
            if "go" in message:
                return True
            waiting_for = str(message.get("waiting", chief))


def _message(line: bytes) -> Mapping[str, object]:
    """What the chief says in a line; nothing where somebody else has its port."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {}


def _send(connection: socket.socket, message: Mapping[str, object]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _disagreement(cluster: Cluster, statements: Mapping[int, Statement]) -> str:
    """Where the workers' statements differ; "" where they agree."""
    first = statements[0]
    for rank in range(1, cluster.size):
        other = statements[rank]
        different = [
            f"{name} ({first.get(name)!r} and {other.get(name)!r})"
            for name in [*first, *(other.keys() - first.keys())]
            if first.get(name) != other.get(name)
        ]
        if different:
            return (
                "all workers must be about to do the same, but "
                f"{cluster.names[0]} and {cluster.names[rank]} differ in "
                f"{', '.join(different[:5])}; start every worker with the same "
                "command, files and installation"
            )
    return ""
