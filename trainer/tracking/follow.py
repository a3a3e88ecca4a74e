"""Sending while a run trains: in a thread, from files, so that no step waits for it."""

import contextlib
import threading
import time
from collections.abc import Iterator

from etils import epath

from trainer import console
from trainer.config import Config, ConfigError
from trainer.storage import files
from trainer.tracking.tracker import TrackingError, opening

_EVERY_SECS, _EVERY_REMOTE_SECS = 10.0, 60.0  # between two looks, also into a store
_MOST_SECS = 600.0  # between two tries
_PATIENCE_SECS = 60.0  # at the end, in which a tracker must take something


class Following:
    """Follows the run in a workdir, once it has begun, until it ends."""

    def __init__(self, config: Config, path: epath.Path) -> None:
        self._config = config
        self._path = path
        self._thread: threading.Thread | None = None
        self._is_ending = threading.Event()
        self._is_dropped = False
        self._is_told = False

    def begin(self) -> None:
        """Sends from now on what the run writes, where the config asks for it.

        Raises:
          ConfigError: what sends is not installed, or there is no such function.
        """
        section = self._config.tracking
        if not section.tracker or self._thread:
            return
        opens = opening(section, self._config.name)
        # Loads NumPy.
        from trainer.tracking.sender import Sender

        self._sender = Sender(self._config, self._path, opens)
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Sends the last, as long as it is taken; what is not can be sent later."""
        if self._thread is None:
            return
        ended_at = time.monotonic()
        self._is_ending.set()
        while self._thread.is_alive():
            self._thread.join(0.1)
            last = max(ended_at, self._sender.answered_at)
            if time.monotonic() - last > _PATIENCE_SECS:
                self._tell(f"no answer in {_PATIENCE_SECS:g} s")
                return

    def drop(self) -> None:
        """Ends without a last word, since the run has ended early: it may go on."""
        self._is_dropped = True
        self._is_ending.set()

    def _run(self) -> None:
        # Loads NumPy, which no run needs that is not tracked.
        from trainer.report import ReportError

        every = _EVERY_REMOTE_SECS if files.is_remote(self._path) else _EVERY_SECS
        wait = every
        while True:
            is_last = self._is_ending.wait(wait)
            if self._is_dropped:
                return
            try:
                self._sender.send()
                wait = every
            except (TrackingError, files.StorageError, ReportError, ConfigError) as e:
                self._tell(str(e))
                wait = min(2 * wait, _MOST_SECS)
            if is_last:
                return

    def _tell(self, reason: str) -> None:
        """Says once that something is not sent."""
        if self._is_told:
            return
        self._is_told = True
        console.log(
            f"tracking.tracker {self._config.tracking.tracker!r} does not take what is "
            f"sent ({reason}); the run goes on, and python -m trainer track "
            f"--workdir={self._path} sends later what is missing"
        )


@contextlib.contextmanager
def following(config: Config, path: epath.Path) -> Iterator[Following]:
    """Follows the run of the body, which begins it; sends the last after its end."""
    own = Following(config, path)
    try:
        yield own
    except BaseException:
        own.drop()
        raise
    own.finish()
