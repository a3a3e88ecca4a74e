"""Threads that read many files at a time."""

import concurrent.futures
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tqdm

from trainer.devices import processors

# Threads: for a disk as many as decode, for a bucket as many as hide its latency.
_READERS_A_PROCESSOR = 4

_BLOCK = 10_000  # files handed to the readers at a time

Result = TypeVar("Result")


def for_each(
    action: Callable[[Any], Result], items: Sequence[Any], *, title: str
) -> list[Result]:
    """The results in order, made by several threads under a progress bar."""
    num_readers = _READERS_A_PROCESSOR * processors.count()
    with concurrent.futures.ThreadPoolExecutor(num_readers) as pool:
        # In blocks, because a future of each of a million files would fill memory.
        blocks = range(0, len(items), _BLOCK)
        results = (pool.map(action, items[i : i + _BLOCK]) for i in blocks)
        return list(
            tqdm.tqdm(
                itertools.chain.from_iterable(results),
                desc=title,
                total=len(items),
                unit="file",
                file=sys.stderr,
                disable=not sys.stderr.isatty(),
            )
        )
