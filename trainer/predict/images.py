"""Images from files as a model takes them, some ahead of those that are asked for."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from trainer import data

# Of a local disk as many as decode, of a bucket as many as hide its latency.
_READERS = 4 * (os.cpu_count() or 1)

Read = np.ndarray | str  # the image, or why there is none


def batches(
    paths: Sequence[str], *, shape: tuple[int, int, int], batch_size: int
) -> Iterator[list[tuple[str, Read]]]:
    """Each file with its image, uint8 of `shape`, in the order of the paths.

    In memory are two batches at a time.
    """
    read = _reader(shape)
    ahead: collections.deque[list[concurrent.futures.Future[Read]]]
    ahead = collections.deque()
    begun = collections.deque[Sequence[str]]()
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        for first in range(0, len(paths), batch_size):
            batch = paths[first : first + batch_size]
            begun.append(batch)
            ahead.append([pool.submit(read, path) for path in batch])
            if len(ahead) > 1:
                yield _done(begun.popleft(), ahead.popleft())
        while ahead:
            yield _done(begun.popleft(), ahead.popleft())


def _done(
    paths: Sequence[str], futures: Sequence[concurrent.futures.Future[Read]]
) -> list[tuple[str, Read]]:
    return [
        (path, future.result()) for path, future in zip(paths, futures, strict=True)
    ]


def _reader(shape: tuple[int, int, int]) -> Callable[[str], Read]:
    # One call each: eager operations would take longer than the decoding. Traced here,
    # or each thread would.
    with tf.device("/cpu:0"):
        image_of = tf.function(
            lambda path: data.fitted(tf.io.read_file(path), shape), autograph=False
        ).get_concrete_function(tf.TensorSpec((), tf.string))

    def read(path: str) -> Read:
        try:
            image: np.ndarray = image_of(tf.constant(path)).numpy()
        except tf.errors.OpError as error:
            return data.reason(error)
        return image

    return read
