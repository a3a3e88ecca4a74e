"""The processes of one cluster, from their start to the end of the last."""

import dataclasses
import math
import select
import signal
import time
from collections.abc import Sequence

from launch import exit_codes
from launch.local.faults import Fault, Faults
from launch.local.screen import Screen
from launch.local.signals import FORWARDED, Signals
from launch.local.worker import Line, Worker

# A worker that has lost a peer may end before that peer has: so long its own end is
# waited for, to name the cause and not the victim.
_CAUSE_SECS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a group of workers."""

    ended: tuple[Worker, ...]  # in the order of their ends
    cause: Worker | None  # whose failure ended the group
    signals: tuple[int, ...]  # that asked the launcher to stop
    unresponsive: tuple[Worker, ...]  # that SIGTERM did not end within the grace


class Group:
    """Shows what the workers say; stops all of them when one fails, or a signal asks.

    Everything happens in one thread, which waits for output, signals and the next time
    that something is due.
    """

    def __init__(
        self, *, screen: Screen, signals: Signals, faults: Faults, grace_secs: float
    ) -> None:
        """`grace_secs` is the time from SIGTERM to SIGKILL."""
        self._screen = screen
        self._signals = signals
        self._faults = faults
        self._grace_secs = grace_secs
        self._workers: Sequence[Worker] = ()
        self._ended: list[Worker] = []
        self._cause: Worker | None = None
        self._asked: list[int] = []
        self._unresponsive: list[Worker] = []
        self._begun = time.monotonic()
        self._blame_at = math.inf
        self._kill_at = math.inf

    def run(self, workers: Sequence[Worker]) -> Outcome:
        """Returns when all workers have ended; index i of `workers` is worker i."""
        self._workers = workers
        while self._running():
            self._handle_signals(self._wait())
            self._strike(self._faults.take_after(time.monotonic() - self._begun))
            self._blame()
            if time.monotonic() >= self._kill_at:
                self._unresponsive = self._running()
                self._send_all(signal.SIGKILL)
                self._kill_at = math.inf
        return Outcome(
            ended=tuple(self._ended),
            cause=self._cause,
            signals=tuple(self._asked),
            unresponsive=tuple(self._unresponsive),
        )

    def _running(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.is_running]

    def _wait(self) -> list[int]:
        """Waits until something is due; reads, writes, returns signals that came."""
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        for descriptor in self._screen.waiting():
            poller.register(descriptor, select.POLLOUT)
        sources = {
            descriptor: worker
            for worker in ([] if self._screen.is_full else self._running())
            for descriptor in worker.descriptors
        }
        for descriptor in sources:
            poller.register(descriptor, select.POLLIN)
        for descriptor, _ in poller.poll(self._timeout_ms()):
            if descriptor in sources:
                worker = sources[descriptor]
                self._show(worker, worker.read(descriptor))
            elif descriptor != self._signals.fileno():
                self._screen.write(descriptor)
        return self._signals.take()

    def _timeout_ms(self) -> int | None:
        fault_secs = self._faults.next_secs()
        fault_at = math.inf if fault_secs is None else self._begun + fault_secs
        due = min(self._blame_at, self._kill_at, fault_at)
        if due == math.inf:
            return None
        return max(0, math.ceil((due - time.monotonic()) * 1000))

    def _show(self, worker: Worker, lines: list[Line]) -> None:
        for stream, text in lines:
            self._screen.show(stream, f"[{worker.name}] {text}")
            self._strike(self._faults.take_at(text))

    def _handle_signals(self, numbers: list[int]) -> None:
        for number in numbers:
            if number in FORWARDED:
                is_repeated = number == signal.SIGINT and number in self._asked
                self._asked.append(number)
                self._send_all(signal.SIGKILL if is_repeated else number)
                self._kill_later()
        if signal.SIGCHLD in numbers:
            for worker in self._running():
                if worker.has_ended():
                    self._show(worker, worker.reap())
                    self._ended.append(worker)

    def _blame(self) -> None:
        """Once a worker has failed, names the cause and stops the others."""
        failed = [worker for worker in self._ended if worker.code]
        if self._cause or self._asked or not failed:
            self._blame_at = math.inf
            return
        cause = min(failed, key=_is_victim)  # the first of those that are none
        if _is_victim(cause) and self._running():
            self._blame_at = min(self._blame_at, time.monotonic() + _CAUSE_SECS)
            if time.monotonic() < self._blame_at:
                return
        self._cause = cause
        if self._running():
            self._screen.say(
                f"{cause.name} ended with {cause.code}; the others get SIGTERM, and "
                f"SIGKILL after {self._grace_secs:g} s"
            )
            self._send_all(signal.SIGTERM)
            self._kill_later()

    def _kill_later(self) -> None:
        self._kill_at = min(self._kill_at, time.monotonic() + self._grace_secs)

    def _send_all(self, number: int) -> None:
        for worker in self._running():
            worker.send(number)

    def _strike(self, faults: list[Fault]) -> None:
        for fault in faults:
            worker = self._workers[fault.worker]
            if worker.is_running:
                self._screen.say(f"fault {fault.text}")
                worker.send(fault.signal_number)
            else:
                self._screen.say(f"fault {fault.text}: {worker.name} has ended already")


def _is_victim(worker: Worker) -> bool:
    return worker.code == exit_codes.PEER_LOST
