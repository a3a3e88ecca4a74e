"""The output of a command, whose reader may leave before it has all."""

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

from trainer.storage import files


@contextlib.contextmanager
def read_to_its_end() -> Iterator[None]:
    """The body ends where nobody reads any more what it prints.

    Raises:
      StorageError: whoever read it has closed it.
    """
    try:
        try:
            yield
        finally:
            print(end="", flush=True)
    except BrokenPipeError as error:
        lost = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
        if not lost:
            raise
        for stream in lost:
            # What is not written yet has nobody to read it, and no place to fail at.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise files.StorageError(
            "standard output was closed before all was written; have it read to its "
            "end, or write it to a file"
        ) from error


def _has_no_reader(stream: TextIO) -> bool:
    polled = select.poll()
    polled.register(stream, select.POLLOUT)
    return any(event & select.POLLERR for _, event in polled.poll(0))
