"""The launcher's own stdout and stderr."""

import os
import select

STDOUT, STDERR = 1, 2

_MOST_WAITING_BYTES = 1 << 20


class Screen:
    """Shows lines to a reader that may be slow, or gone.

    A line waits here until its descriptor takes it: a launcher that is stuck in a write
    could neither pass a signal on nor see a worker fail. What nobody can read any more
    is dropped, since a training is worth more than its terminal.
    """

    def __init__(self) -> None:
        self._waiting = {STDOUT: bytearray(), STDERR: bytearray()}
        self._gone: set[int] = set()

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be read from the workers for now."""
        return any(len(data) > _MOST_WAITING_BYTES for data in self._waiting.values())

    def waiting(self) -> list[int]:
        """The descriptors that have something to write."""
        return [descriptor for descriptor, data in self._waiting.items() if data]

    def show(self, descriptor: int, line: str) -> None:
        """Puts one line behind those that wait."""
        if descriptor not in self._gone:
            self._waiting[descriptor] += (line + "\n").encode(errors="replace")

    def say(self, sentence: str) -> None:
        """Shows a line of the launcher's own."""
        self.show(STDERR, f"launch: {sentence}")

    def write(self, descriptor: int) -> None:
        """Writes as much as a descriptor that is ready takes at once."""
        data = self._waiting[descriptor]
        try:
            del data[: os.write(descriptor, data[: select.PIPE_BUF])]
        except BlockingIOError:
            pass
        except OSError:
            self._gone.add(descriptor)
            data.clear()

    def flush(self) -> None:
        """Writes all, however long the reader takes."""
        while descriptors := self.waiting():
            poller = select.poll()
            for descriptor in descriptors:
                poller.register(descriptor, select.POLLOUT)
            for descriptor, _ in poller.poll():
                self.write(descriptor)
