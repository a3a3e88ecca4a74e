"""One process of a cluster on this machine, and what it says."""

import collections
import ctypes
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence

from launch import exit_codes, program
from launch.local.lines import LineCutter
from launch.local.log import Log
from launch.local.screen import STDERR, STDOUT

Line = tuple[int, str]  # the stream it came on, and its text

_PR_SET_PDEATHSIG = 1
_CHUNK_BYTES = 1 << 16
_NUM_LAST_LINES = 20
# What TensorFlow's compiled parts tell, which is seldom why a program ended.
_TENSORFLOW = re.compile(r"[IWE]\d{4} |WARNING: All log messages before absl")


class Worker:
    """A child in a process group of its own, which does not outlive the launcher."""

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Log | None,
    ) -> None:
        """Starts the program of these words.

        Raises:
          LaunchError: the program cannot be run.
        """
        self.name = name
        self.code = 0  # the exit code, once it is not running
        self.is_running = True
        self.last_lines = collections.deque[str](maxlen=_NUM_LAST_LINES)
        self._log = log
        pipes = {stream: os.pipe() for stream in (STDOUT, STDERR)}
        self._streams = {}
        for stream, (reader, _) in pipes.items():
            os.set_blocking(reader, False)
            self._streams[reader] = (stream, LineCutter())
        try:
            self._process = _start(
                words, environment, stdout=pipes[STDOUT][1], stderr=pipes[STDERR][1]
            )
        except OSError as error:
            self._close()
            raise program.unusable(words[0], error) from error
        finally:
            for _, writer in pipes.values():
                os.close(writer)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """File descriptors that may bring output."""
        return tuple(self._streams)

    def read(self, descriptor: int) -> list[Line]:
        """The lines that a descriptor has ready."""
        stream, cutter = self._streams[descriptor]
        data = _ready(descriptor)
        if data is None:
            return []
        if not data:
            del self._streams[descriptor]
            os.close(descriptor)
            return self._select_lines(stream, cutter.finish())
        return self._select_lines(stream, cutter.feed(data))

    def send(self, number: int) -> None:
        """Sends a signal to the process and all in its group.

        Until it is reaped, no other group can have its number.
        """
        os.killpg(self._process.pid, number)

    def has_ended(self) -> bool:
        """Whether the process has ended and can be reaped."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def reap(self) -> list[Line]:
        """Takes the exit code, ends what is left of the group; returns the last lines.

        All that an ended process wrote is in the pipes by now. Their end may be far
        off, where a process has left the group, and is not waited for.
        """
        self.send(signal.SIGKILL)
        self.code = exit_codes.from_status(self._process.wait())
        self.is_running = False
        lines = []
        for descriptor, (stream, cutter) in self._streams.items():
            while data := _ready(descriptor):
                lines += self._select_lines(stream, cutter.feed(data))
            lines += self._select_lines(stream, cutter.finish())
        self._close()
        return lines

    def _select_lines(self, stream: int, lines: list[str]) -> list[Line]:
        self.last_lines += (line for line in lines if not _TENSORFLOW.match(line))
        if self._log:
            for line in lines:
                self._log.write(line)
        return [(stream, line) for line in lines]

    def _close(self) -> None:
        for descriptor in self._streams:
            os.close(descriptor)
        self._streams.clear()
        if self._log:
            self._log.close()


def _start(
    words: Sequence[str], environment: Mapping[str, str], *, stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    launcher = os.getpid()
    prctl = ctypes.CDLL(None).prctl

    def die_with_the_launcher() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # It may have ended before that call.
        if os.getppid() != launcher:
            os._exit(1)

    return subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        process_group=0,
        preexec_fn=die_with_the_launcher,  # safe, since the launcher has one thread
    )


def _ready(descriptor: int) -> bytes | None:
    """Reads what a pipe holds: b"" at its end, None where there is nothing yet."""
    try:
        return os.read(descriptor, _CHUNK_BYTES)
    except BlockingIOError:
        return None
