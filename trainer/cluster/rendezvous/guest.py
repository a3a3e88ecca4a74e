"""Somebody who has come to the chief's port, worker or not."""

import socket
import struct
import time
from collections.abc import Mapping

from trainer.cluster.rendezvous import messages, peers
from trainer.cluster.rendezvous.statement import Statement

_SILENCE_SECS = 6.0  # after which a worker that does not answer has lost its place
_WITHOUT_A_TRACE = struct.pack("ii", 1, 0)  # a close by which the port is free at once


class Guest:
    """The chief's end of a connection, on which no call waits."""

    def __init__(self, connection: socket.socket, secret: bytes) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.rank = 0  # of a worker, once it has proved to be one
        self.host = ""
        self.statement: Statement = {}
        self.is_dismissed = False
        self.came = self.heard = time.monotonic()
        self._until = self.came + peers.ANSWER_SECS
        self._conversation = messages.Conversation(messages.CHIEF, secret)
        self._lines = messages.Lines()

    @property
    def is_late(self) -> bool:
        """Whether it should have said something, or have gone, by now."""
        return time.monotonic() > self._until

    def hear(self) -> list[dict[str, object]]:
        """The messages that have come whole.

        Raises:
          StrangerError: the other side is no worker of this run, or does not listen.
          OSError: it is gone.
        """
        part = self.connection.recv(messages.MAX_LINE_BYTES)
        if not part:
            raise ConnectionResetError
        heard = []
        for line in self._lines.feed(part):
            if self._conversation.is_greeted:
                heard.append(self._conversation.open_message(line))
            else:
                self._conversation.greet(line)
                # The chief is the first to prove that it knows the secret.
                proof = self._conversation.seal({"welcome": True})
                self._send(self._conversation.greeting() + proof)
        # A stranger's time is not prolonged by what it says.
        if heard and self.rank and not self.is_dismissed:
            self.heard = time.monotonic()
            self._until = self.heard + _SILENCE_SECS
        return heard

    def become(self, rank: int, host: str, statement: Statement) -> None:
        """Makes the guest the worker `rank`, about to do what it states."""
        self.rank, self.host, self.statement = rank, host, statement
        self._until = time.monotonic() + _SILENCE_SECS

    def tell(self, message: Mapping[str, object]) -> None:
        """Sends a worker a message.

        Raises:
          StrangerError: it does not take what it was told before.
          OSError: it is gone.
        """
        self._send(self._conversation.seal(message))

    def dismiss(self, message: Mapping[str, object]) -> None:
        """Tells a worker its end of the meeting, upon which it hangs up.

        Raises:
          StrangerError, OSError: as `tell`.
        """
        self.is_dismissed = True
        self._until = time.monotonic() + peers.ANSWER_SECS
        self.tell(message)

    def close(self) -> None:
        """Hangs up."""
        if not self.rank:
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _WITHOUT_A_TRACE
            )
        self.connection.close()

    def _send(self, line: bytes) -> None:
        if self.connection.send(line) < len(line):
            raise messages.StrangerError("it does not take what it is told")
