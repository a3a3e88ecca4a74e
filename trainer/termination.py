"""How a process ends before its work is done.

TensorFlow's servers replace the handler of SIGTERM by one of their own, and a handler
in Python would not run while the main thread waits for other workers. So the signal is
blocked in all threads before TensorFlow is imported, and one thread waits for it.
"""

import contextlib
import faulthandler
import json
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

from trainer import console

# Codes above 128 tell who started the process to start it again.
PEER_LOST = 138
STOPPED = 143  # 128 + SIGTERM, as if the signal had ended the process

# Where Kubernetes reads why a container has ended; it makes the file beforehand.
LOG = pathlib.Path("/dev/termination-log")

_SIGTERM = {signal.SIGTERM}


class StoppedError(Exception):
    """Somebody asked for the end, and what a later start needs is on disk."""


class Termination:
    """Who asks this process to end, and how it does without its main thread."""

    def __init__(self, *, grace_secs: float, watchdog_secs: float) -> None:
        """Nobody asks, until `listening` is entered."""
        self._grace_secs = grace_secs
        self._watchdog_secs = watchdog_secs
        self._lock = threading.Lock()
        self._answers: list[Callable[[], None]] = []
        self._is_asked = False
        self._is_over = threading.Event()  # listening, because the work is

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """In the body a thread takes SIGTERM, which is to be blocked already."""

        def listen() -> None:
            signal.sigwait(_SIGTERM)
            if not self._is_over.is_set():
                self._end()

        thread = threading.Thread(target=listen, name="SIGTERM", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            signal.pthread_kill(thread.ident or 0, signal.SIGTERM)
            thread.join()

    @contextlib.contextmanager
    def answered_by(self, answer: Callable[[], None]) -> Iterator[None]:
        """In the body a SIGTERM calls `answer`, and the body ends in its own time.

        Elsewhere nothing would be lost by ending at once, and so the process does.

        Raises:
          StoppedError: the body ended for another reason after it was asked.
        """
        with self._answering(answer):
            yield
        if self._is_asked:
            raise StoppedError("stopped by SIGTERM after the last step, which is saved")

    def ending(self) -> contextlib.AbstractContextManager[None]:
        """In the body a SIGTERM is not needed any more: the process ends anyway."""
        return self._answering(lambda: None)

    @contextlib.contextmanager
    def _answering(self, answer: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._answers.append(answer)
        try:
            yield
        finally:
            with self._lock:
                self._answers.remove(answer)

    @contextlib.contextmanager
    def watched(self, action: str) -> Iterator[None]:
        """The process ends with a dump of all its threads if the body takes too long.

        A lost GPU or network may leave the main thread in an operation for ever.
        """
        timer = threading.Timer(self._watchdog_secs, self._give_up, (action,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self) -> None:
        with self._lock:
            self._is_asked = True
            answers = list(self._answers)
            for answer in answers:
                answer()
        if not answers:
            leave("stopped by SIGTERM; start the same command again to go on", STOPPED)
        if not self._is_over.wait(self._grace_secs):
            leave(
                "stopped by SIGTERM without a checkpoint of the last steps: they took "
                f"longer than runtime.grace_secs = {self._grace_secs}; lower "
                "runtime.steps_per_loop, or give more time",
                STOPPED,
            )

    def _give_up(self, action: str) -> None:
        faulthandler.dump_traceback(all_threads=True)
        leave(
            f"{action} took longer than runtime.watchdog_secs = {self._watchdog_secs}; "
            "the stacks of all threads are above",
            PEER_LOST,
        )


@contextlib.contextmanager
def sigterm_blocked() -> Iterator[None]:
    """In the body this thread, and those that it starts, do not see SIGTERM."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGTERM)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tell(reason: str, code: int) -> None:
    """Says why the process ends with `code`, to people and to Kubernetes."""
    console.say(reason)
    if LOG.exists():
        # No more than 4096 bytes are read.
        text = json.dumps({"code": code, "reason": reason[:2000]}) + "\n"
        with contextlib.suppress(OSError):
            LOG.write_text(text, encoding="utf-8")


def leave(reason: str, code: int) -> NoReturn:
    """Ends the process at once, from any thread."""
    tell(reason, code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
