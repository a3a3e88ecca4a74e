"""The addresses of the workers, as sockets."""

import concurrent.futures
import errno
import socket

from trainer.cluster.tf_config import Cluster

ANSWER_SECS = 10.0  # for a peer that is there to take a message, or to hang up

_BACKLOG = 512


def absent(cluster: Cluster) -> list[int]:
    """The ranks of the other workers at whose address nobody answers, once they met."""
    others = [rank for rank in range(cluster.size) if rank != cluster.rank]
    # All at once, since silent machines take their time.
    with concurrent.futures.ThreadPoolExecutor(len(others)) as pool:
        present = list(pool.map(_answers, (cluster.addresses[i] for i in others)))
    return [rank for rank, answers in zip(others, present, strict=True) if not answers]


def connection(address: str) -> socket.socket:
    """A connection to "host:port".

    Raises:
      OSError: nobody answers there.
    """
    return socket.create_connection(_parts(address), ANSWER_SECS)


def listener(cluster: Cluster) -> socket.socket:
    """A socket at the chief's port, whose calls return at once.

    It is reached from this machine alone where all workers are here; else it is at all
    addresses, since the chief's own name may be a service's.

    Raises:
      OSError: somebody else has the port.
    """
    host, port = _parts(cluster.addresses[0])
    if cluster.is_loopback:
        made = _loopback_listener(host, port)
    elif socket.has_dualstack_ipv6():
        made = socket.create_server(
            ("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
        )
    else:
        made = socket.create_server(("", port), backlog=_BACKLOG)
    made.setblocking(False)
    return made


def _loopback_listener(host: str, port: int) -> socket.socket:
    # A name may stand for an address that this machine has no interface for.
    *others, last = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, *_, place in others:
        try:
            return socket.create_server(place[:2], family=family, backlog=_BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
    return socket.create_server(last[4][:2], family=last[0], backlog=_BACKLOG)


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _answers(address: str) -> bool:
    try:
        connection(address).close()
    except OSError:
        return False
    return True
