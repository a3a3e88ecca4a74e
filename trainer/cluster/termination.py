"""Ends of a process before its work is done: SIGTERM, Ctrl-C and hung steps.

TensorFlow's servers replace the handler of SIGTERM by one of their own, and a handler
in Python would not run while the main thread waits for other workers. So the signal is
blocked in all threads before TensorFlow is imported, and one thread waits for it.
Another one hears of SIGINT, Ctrl-C, by the descriptor that Python's own part of a
handler writes to, so that it stays a KeyboardInterrupt wherever nothing is to be saved.
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
from types import FrameType
from typing import TypeVar

from trainer import console, exit_codes
from trainer.exit_codes import INTERRUPTED, PEER_LOST, STOPPED

# Where Kubernetes reads why a container has ended; it makes the file beforehand.
LOG = pathlib.Path("/dev/termination-log")

# Each signal that asks for the end has a number; each step adds up those of all the
# workers. That of Ctrl-C is so large that one outweighs any number of SIGTERMs.
_STOP_VALUES = {signal.SIGTERM: 1.0, signal.SIGINT: 2.0**40}

_SIGTERM = {signal.SIGTERM}
_LAST_SECS = 5.0  # for what is done at last, which may hang with everything else

Handler = Callable[[float], object]  # takes the wish
Action = TypeVar("Action")


class StoppedError(Exception):
    """Somebody asked for the end, and what a later start needs is on disk."""


class InterruptError(StoppedError):
    """The same, asked for by Ctrl-C: nothing should start it again."""


def stop_error(wish: float, where: str) -> StoppedError:
    """The end that was asked for, of `wish` in sum, such as " after step 5"."""
    if wish >= _STOP_VALUES[signal.SIGINT]:
        return InterruptError(f"interrupted{where}")
    return StoppedError(f"stopped by SIGTERM{where}")


class Termination:
    """The end of this process on a signal, without the help of its main thread."""

    def __init__(
        self, *, grace_secs: float, watchdog_secs: float, is_guest: bool = False
    ) -> None:
        """Nobody asks, until `listening` is entered.

        In a process that is somebody else's, such as a notebook's, it `is_guest`: it
        ends that on SIGTERM alone.
        """
        self._grace_secs = grace_secs
        self._watchdog_secs = watchdog_secs
        self._is_guest = is_guest
        self._lock = threading.Lock()
        self._handlers: list[Handler] = []
        self._exit_hooks: list[Callable[[], None]] = []
        self._asked = 0.0  # the wishes so far
        self._is_over = threading.Event()  # listening, because the work is
        self._is_main_interrupted = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Has threads take SIGINT and SIGTERM in the body.

        Threads that began before, without SIGTERM blocked, would take it as any process
        does. Only the main thread hears of signals: a guest in another leaves them to
        it.
        """
        if self._is_guest and threading.current_thread() is not threading.main_thread():
            yield
            return

        def listen() -> None:
            signal.sigwait(_SIGTERM)
            if not self._is_over.is_set():
                self._end(signal.SIGTERM)

        thread = threading.Thread(target=listen, name="SIGTERM", daemon=True)
        with sigterm_blocked():  # also in the thread, which inherits it
            thread.start()
            try:
                with self._listening_to_keyboard():
                    yield
            finally:
                self._is_over.set()
                signal.pthread_kill(thread.ident or 0, signal.SIGTERM)
                thread.join()

    @contextlib.contextmanager
    def _listening_to_keyboard(self) -> Iterator[None]:
        before = signal.getsignal(signal.SIGINT)
        # Not in what a shell has in its background.
        is_heard = before is not signal.SIG_IGN
        if not (is_heard or self._is_guest):
            yield
            return
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        thread = threading.Thread(
            target=self._listen_to_keyboard, args=(reader,), name="SIGINT", daemon=True
        )
        thread.start()
        wakeup_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        if is_heard:
            signal.signal(signal.SIGINT, self._interrupt_main)
        terminate_before = signal.getsignal(signal.SIGTERM)
        if self._is_guest:
            # Threads of the program's TensorFlow do not block it, and may take it.
            signal.signal(signal.SIGTERM, lambda number, frame: None)
        try:
            yield
        finally:
            if self._is_guest:
                signal.signal(signal.SIGTERM, terminate_before or signal.SIG_DFL)
            if is_heard:
                signal.signal(signal.SIGINT, before)
            signal.set_wakeup_fd(wakeup_before)
            os.close(writer)
            thread.join()
            os.close(reader)

    def _listen_to_keyboard(self, reader: int) -> None:
        is_repeated = False
        while number := os.read(reader, 1):
            if number[0] == signal.SIGTERM:
                self._end_meanwhile(signal.SIGTERM)
            if number[0] != signal.SIGINT:
                continue
            if is_repeated and not self._is_guest:
                self.leave("interrupted again: nothing more is saved", INTERRUPTED)
            if self._handlers and not is_repeated:
                console.log("interrupted: saves what is done; once more ends at once")
                self._end_meanwhile(signal.SIGINT)
            else:
                self._is_main_interrupted = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                os.read(reader, 1)  # which is that one
            is_repeated = True

    def _end_meanwhile(self, number: signal.Signals) -> None:
        # The next signal is to be heard meanwhile.
        threading.Thread(target=self._end, args=(number,), daemon=True).start()

    def _interrupt_main(self, number: int, frame: FrameType | None) -> None:
        if self._is_main_interrupted:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def handle_with(self, handler: Handler) -> Iterator[None]:
        """Has SIGTERM or Ctrl-C call `handler`; the body ends in its own time.

        Elsewhere nothing would be lost by ending at once, and so the process does.

        Raises:
          StoppedError: the body ended for another reason after it was asked.
        """
        with self._among(self._handlers, handler):
            yield
        if self._asked:
            raise stop_error(self._asked, " after the last step, which is saved")

    def ending(self) -> contextlib.AbstractContextManager[None]:
        """Ignores SIGTERM in the body, since the process ends anyway."""
        return self._among(self._handlers, lambda wish: None)

    def leaving(
        self, action: Callable[[], None]
    ) -> contextlib.AbstractContextManager[None]:
        """Has `action` done before a signal ends the process within the body."""
        return self._among(self._exit_hooks, action)

    @contextlib.contextmanager
    def _among(self, actions: list[Action], action: Action) -> Iterator[None]:
        with self._lock:
            actions.append(action)
        try:
            yield
        finally:
            with self._lock:
                actions.remove(action)

    @contextlib.contextmanager
    def watchdog(self, action: str) -> Iterator[None]:
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

    def _end(self, number: signal.Signals) -> None:
        with self._lock:
            self._asked += _STOP_VALUES[number]
            handlers = list(self._handlers)
            for handler in handlers:
                handler(_STOP_VALUES[number])
        if not handlers:
            self._leave_stopped("; start the same command again to go on")
        if not self._is_over.wait(self._grace_secs):
            self._leave_stopped(
                " without a checkpoint of the last steps: they took longer than "
                f"runtime.grace_secs = {self._grace_secs}; lower "
                "runtime.steps_per_loop, or give more time"
            )

    def _leave_stopped(self, how: str) -> None:
        end = stop_error(self._asked, how)
        self.leave(str(end), exit_codes.from_error(end))

    def leave(self, reason: str, code: int) -> None:
        """Ends the process from any thread, after what is to be done at last.

        That of a program goes on unless it is terminated: its user may interrupt it.
        """
        if self._is_guest and code != STOPPED:
            console.log(reason)
            return
        for last in list(self._exit_hooks):
            thread = threading.Thread(target=last, daemon=True)
            thread.start()
            thread.join(_LAST_SECS)
        report_end(reason, code)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def _give_up(self, action: str) -> None:
        faulthandler.dump_traceback(all_threads=True)
        self.leave(
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


def report_end(reason: str, code: int) -> None:
    """Says why the process ends with `code`, to people and to Kubernetes."""
    console.log(reason)
    if LOG.exists():
        # No more than 4096 bytes are read.
        text = json.dumps({"code": code, "reason": reason[:2000]}) + "\n"
        with contextlib.suppress(OSError):
            LOG.write_text(text, encoding="utf-8")
