"""The signals that reach the launcher, as something to wait for."""

import os
import signal
from types import FrameType, TracebackType

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """Collects signals from `with` on; its descriptor is readable where some came."""

    def __enter__(self) -> "Signals":
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._wakeup_before = signal.set_wakeup_fd(
            self._writer, warn_on_full_buffer=False
        )
        collected = [signal.SIGCHLD, *FORWARDED]
        # Under nohup a lost terminal is no reason to stop.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            collected.remove(signal.SIGHUP)
        self._handlers_before = {
            number: signal.signal(number, _wake_only) for number in collected
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._reader

    def take(self) -> list[int]:
        """The numbers of those that came, in their order."""
        try:
            return list(os.read(self._reader, 4096))
        except BlockingIOError:
            return []


def _wake_only(number: int, frame: FrameType | None) -> None:
    """Python's own part has written the number to the descriptor."""
