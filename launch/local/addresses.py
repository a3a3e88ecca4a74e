"""Addresses of this machine for the workers to listen at."""

import contextlib
import random
import socket

from launch.errors import LaunchError

_HOST = "127.0.0.1"
# Below the ports that Linux gives to outgoing connections: a worker that calls a peer
# again and again before it listens would in time be given the peer's own port.
_PORTS = range(20000, 32768)


def free(count: int) -> list[str]:
    """Different addresses "host:port" at which nobody listens, `count` of them."""
    addresses: list[str] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(_PORTS, len(_PORTS)):
            if len(addresses) == count:
                return addresses
            listener = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind((_HOST, port))
                addresses.append(f"{_HOST}:{port}")
    raise LaunchError(
        f"--workers={count} needs that many free ports from {_PORTS.start} to "
        f"{_PORTS.stop - 1}, got {len(addresses)}; start fewer workers"
    )
