"""Those who come to a chief's port and are no workers, or not of this run.

Each function visits a port of 127.0.0.1 once. What it leaves open is closed with its
stack.
"""

import contextlib
import itertools
import pathlib
import random
import socket
import struct
import threading
import time

from trainer.cluster.rendezvous import messages


def connected(port: int, stack: contextlib.ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))


def wait_for(port: int) -> None:
    """Returns once somebody listens there, and after one more stranger."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(ConnectionRefusedError), contextlib.ExitStack() as it:
            connected(port, it)
            return
        assert time.monotonic() < end
        time.sleep(0.02)


def peak_kilobytes(process: int) -> int:
    """The most memory that a process has had so far."""
    status = pathlib.Path("/proc", str(process), "status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


def _sending(data: bytes):
    def visit(port, stack):
        # It may hang up before it has heard everything.
        with contextlib.suppress(ConnectionError):
            connected(port, stack).sendall(data)

    return visit


def _line_without_end(port, stack):
    connection = connected(port, stack)
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            connection.sendall(b"x" * 2**20)


def _one_byte_a_time(port, stack):
    connection = connected(port, stack)
    is_over = threading.Event()

    def dribble():
        with contextlib.suppress(OSError):
            for byte in itertools.cycle(b"alambic 0123456789abcdef"):
                connection.sendall(bytes([byte]))
                if is_over.wait(0.3):
                    return

    stack.callback(is_over.set)
    threading.Thread(target=dribble, daemon=True).start()


def _flood(port, stack):
    for _ in range(200):
        connected(port, stack)


def _flood_of_lines(port, stack):
    for _ in range(200):
        _sending(b'{"rank": 1, "statement": {}}\n' * 50)(port, stack)


def _resets(port, stack):
    del stack
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.sendall(b'{"rank": 1, "sta')
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()


def _half_closed(port, stack):
    connection = connected(port, stack)
    connection.sendall(b"alambic " + b"0" * 64 + b"\n")
    connection.shutdown(socket.SHUT_WR)


def heard_of(connection: socket.socket) -> bytes:
    """All that the other side says until it hangs up."""
    heard = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            heard += part
    return heard


def _without_the_secret(port, stack):
    connection = connected(port, stack)
    own = messages.Conversation(messages.WORKER, b"another secret")
    connection.sendall(own.greeting())
    own.greet(connection.recv(65536).split(b"\n")[0])
    connection.sendall(own.seal({"rank": 1, "host": "", "statement": {}}))


def _mirror(port, stack):
    """Says whatever the chief says: its nonce, and its proof."""
    connection = connected(port, stack)
    connection.sendall(b"alambic " + b"0" * 64 + b"\n")
    with contextlib.suppress(ConnectionError):
        connection.sendall(connection.recv(65536).split(b"\n")[1] + b"\n")


KINDS = {
    "an infinite rank": _sending(b'{"rank": Infinity, "statement": {}}\n'),
    "a worker's rank": _sending(b'{"rank": 1, "statement": {}}\n'),
    "the chief's rank": _sending(b'{"rank": 0, "statement": {"x": 1}}\n'),
    "brackets": _sending(b"[" * 200_000 + b"\n"),
    "a line without end": _line_without_end,
    "one byte at a time": _one_byte_a_time,
    "silence": connected,
    "HTTP": _sending(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "TLS": _sending(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512)),
    "random bytes": _sending(random.Random(0).randbytes(100_000)),
    "200 connections": _flood,
    "200 times 50 lines": _flood_of_lines,
    "resets": _resets,
    "half a connection": _half_closed,
    "another secret": _without_the_secret,
    "a mirror": _mirror,
    "empty lines": _sending(b"\n" * 100_000),
}


class Puppet:
    """A worker whose every word a test decides."""

    def __init__(
        self,
        port: int,
        secret: bytes,
        *,
        rank: object,
        host: str,
        statement: object,
    ) -> None:
        """It meets, and says no more."""
        self.connection = socket.create_connection(("127.0.0.1", port), 10)
        self._own = messages.Conversation(messages.WORKER, secret)
        self._lines = messages.Lines()
        self._waiting: list[dict] = []
        self.connection.sendall(self._own.greeting())
        assert self.hear() == {"welcome": True}
        self.say({"rank": rank, "host": host, "statement": statement})

    def say(self, message: dict) -> None:
        self.connection.sendall(self._own.seal(message))

    def hear(self) -> dict | None:
        """The next message; None where the other side has hung up."""
        while not self._waiting:
            part = self.connection.recv(65536)
            if not part:
                return None
            for line in self._lines.feed(part):
                if self._own.is_greeted:
                    self._waiting.append(self._own.open_message(line))
                else:
                    self._own.greet(line)
        return self._waiting.pop(0)

    def answer_for(self, secs: float) -> dict | None:
        """Answers each question; returns what is none, or None after `secs`."""
        end = time.monotonic() + secs
        while time.monotonic() < end:
            self.connection.settimeout(max(0.01, end - time.monotonic()))
            try:
                message = self.hear()
            except TimeoutError:
                return None
            if message is None or "waiting" not in message:
                return message
            self.say({"here": True})
        return None
