"""Messages between workers that meet, each a line, and the proof that each carries.

Both sides of a connection greet by a fresh nonce. Every later line begins with an HMAC
over its sender's role, its number, both nonces and its text, by the secret of the run.
So the secret never travels, no line can be played back, and whoever does not know it is
neither understood nor told anything.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from trainer.storage import json_text

MAX_LINE_BYTES = 64 * 1024

CHIEF, WORKER = "chief", "worker"

_GREETING = re.compile(rb"alambic ([0-9a-f]{64})")


class StrangerError(Exception):
    """A line came that no worker of this run would send."""


class Lines:
    """The lines of a connection, made of the parts in which they come."""

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, part: bytes) -> list[bytes]:
        """The lines that end in `part`.

        Raises:
          StrangerError: a line is longer than MAX_LINE_BYTES.
        """
        *lines, self._begun = (self._begun + part).split(b"\n")
        for line in (*lines, self._begun):
            if len(line) >= MAX_LINE_BYTES:
                raise StrangerError("a line is too long")
        return lines


class Conversation:
    """One side of a connection: it seals what it says, and opens what it hears."""

    def __init__(self, role: str, secret: bytes) -> None:
        self._role = role
        self._secret = secret
        self._nonces = {role: secrets.token_hex(32)}
        self._counts = {CHIEF: 0, WORKER: 0}

    @property
    def is_greeted(self) -> bool:
        """Whether the other side has sent its nonce."""
        return len(self._nonces) == 2

    def greeting(self) -> bytes:
        """The first line, which carries this side's nonce and no proof."""
        return b"alambic %s\n" % self._nonces[self._role].encode()

    def greet(self, line: bytes) -> None:
        """Takes the other side's first line.

        Raises:
          StrangerError: it is none.
        """
        found = _GREETING.fullmatch(line)
        if not found:
            raise StrangerError("the first line is no greeting")
        self._nonces[self._other] = found[1].decode()

    def seal(self, message: Mapping[str, object]) -> bytes:
        """The line that tells the other side `message`."""
        text = json.dumps(message).encode()
        return self._proof(self._role, text) + b" " + text + b"\n"

    def open_message(self, line: bytes) -> dict[str, Any]:
        """Checks the proof of a line and returns its message.

        Raises:
          StrangerError: it does not prove to know the secret, or is no message.
        """
        proof, _, text = line.partition(b" ")
        if not hmac.compare_digest(proof, self._proof(self._other, text)):
            raise StrangerError("a line lacks its proof")
        try:
            return dict(json_text.parse(text))
        except (ValueError, TypeError):
            raise StrangerError("a line is no message") from None

    @property
    def _other(self) -> str:
        return WORKER if self._role == CHIEF else CHIEF

    def _proof(self, sender: str, text: bytes) -> bytes:
        self._counts[sender] += 1
        head = (sender, self._counts[sender], self._nonces[CHIEF], self._nonces[WORKER])
        proven = " ".join(map(str, head)).encode() + b" " + text
        return hmac.new(self._secret, proven, hashlib.sha256).hexdigest().encode()
