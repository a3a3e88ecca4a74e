"""The time that a worker waits for the others, and its messages meanwhile."""

import time
from collections.abc import Callable

RETRY_SECS = 0.5  # between two looks at what is waited for


class PeerLostError(RuntimeError):
    """A worker of the cluster is gone, or did not come."""


class Patience:
    """The messages and the deadline of a worker that waits."""

    def __init__(
        self,
        timeout_secs: float,
        spare_secs: float,
        every_secs: float,
        say: Callable[[str], None],
    ) -> None:
        self._timeout_secs = timeout_secs
        self._every_secs = every_secs
        self.say = say
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
            self.say(f"waiting for {waiting_for} ({left:.0f} s left)")
