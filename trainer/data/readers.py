"""Threads that read many files at a time."""

import concurrent.futures
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import numpy as np

from trainer.devices import processors
from trainer.progress import show_bar

# Threads: for a disk as many as decode, for a bucket as many as hide its latency.
_READERS_A_PROCESSOR = 4

_BLOCK = 10_000  # files handed to the readers at a time
_SMALL_BLOCK = 1000  # files of which a reader looks at the names and sizes alone
# A disk of this machine tells of a file sooner, and threads would hinder one another.
_QUICK_SECS = 2e-5

Result = TypeVar("Result")


class Items(Protocol):
    """A number of things, one after another."""

    def __len__(self) -> int:
        """Their number."""

    def __iter__(self) -> Iterator[Any]:
        """Gives all of them."""


def for_each(
    action: Callable[[Any], Result], items: Items, *, title: str
) -> list[Result]:
    """The results in order, made by several threads under a progress bar."""
    with show_bar(title, len(items), unit="file") as bar:
        found = []
        for result in _results(action, items):
            found.append(result)
            bar.update()
    return found


def in_blocks(
    action: Callable[[np.ndarray], Result], rows: np.ndarray, *, title: str
) -> list[Result]:
    """The results for stretches of rows, where one row costs less than its hand-over.

    Their order is that of the rows. Threads make them where one is waited for.
    """
    size = max(1, min(_SMALL_BLOCK, -(-len(rows) // num_readers())))
    blocks = [rows[i : i + size] for i in range(0, len(rows), size)]
    found: list[Result] = []
    with show_bar(title, len(rows), unit="file") as bar:
        started = time.perf_counter()
        for block in blocks[:1]:
            found.append(action(block))
            bar.update(len(block))
        waits = time.perf_counter() - started > _QUICK_SECS * size
        rest = blocks[1:]
        made = _results(action, rest) if waits else map(action, rest)
        for block, result in zip(rest, made, strict=True):
            found.append(result)
            bar.update(len(block))
    return found


def as_they_come(
    action: Callable[[Any], Result], items: Items, *, title: str, num_bytes: np.ndarray
) -> Iterator[Result]:
    """The results in order, each once it is there; the bar tells the bytes a second."""
    with show_bar(title, int(num_bytes.sum()), unit="B") as bar:
        results = _results(action, items)
        for size, result in zip(num_bytes.tolist(), results, strict=True):
            yield result
            bar.update(size)


def _results(action: Callable[[Any], Result], items: Iterable[Any]) -> Iterator[Result]:
    rest = iter(items)
    with concurrent.futures.ThreadPoolExecutor(num_readers()) as pool:
        # In blocks, because a future of each of a million files would fill memory.
        while block := list(itertools.islice(rest, _BLOCK)):
            yield from pool.map(action, block)


def num_readers() -> int:
    """The number of threads that read, by the processors that there are to use."""
    return _READERS_A_PROCESSOR * processors.count()
