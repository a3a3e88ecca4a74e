"""Images from files as a model takes them, some ahead of those that are asked for."""

import collections
import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from trainer import data
from trainer.config import Colour, EvaluateView


@dataclasses.dataclass(frozen=True)
class Image:
    """An image as a model takes it."""

    pixels: np.ndarray
    is_transparent: bool  # some of it, which lies on the background


Read = Image | str  # or why there is none


def batches(
    paths: Sequence[str],
    *,
    shape: tuple[int, int, int],
    view: EvaluateView,
    background: Colour | None,
    batch_size: int,
) -> Iterator[list[tuple[str, Read]]]:
    """Each file with its image, uint8 of `shape`, in the order of the paths.

    In memory are two batches at a time.
    """
    read = _reader(shape, view, background)
    ahead: collections.deque[list[concurrent.futures.Future[Read]]]
    ahead = collections.deque()
    begun = collections.deque[Sequence[str]]()
    with concurrent.futures.ThreadPoolExecutor(data.num_readers()) as pool:
        for first in range(0, len(paths), batch_size):
            batch = paths[first : first + batch_size]
            begun.append(batch)
            ahead.append([pool.submit(read, path) for path in batch])
            if len(ahead) > 1:
                yield _results(begun.popleft(), ahead.popleft())
        while ahead:
            yield _results(begun.popleft(), ahead.popleft())


def _results(
    paths: Sequence[str], futures: Sequence[concurrent.futures.Future[Read]]
) -> list[tuple[str, Read]]:
    return [
        (path, future.result()) for path, future in zip(paths, futures, strict=True)
    ]


def _reader(
    shape: tuple[int, int, int], view: EvaluateView, background: Colour | None
) -> Callable[[str], Read]:
    # As evaluation has it, of which a JPEG is decoded again: in part, or coarser.
    def fit(contents: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        decoder = data.BoxDecoder(shape=shape, view=view, whole=lambda _: image)
        return decoder.evaluation(contents)

    # One call each: eager operations would take longer than the decoding. Traced here,
    # or each thread would.
    with tf.device("/cpu:0"):
        fitted = tf.function(fit, autograph=False).get_concrete_function(
            tf.TensorSpec((), tf.string), tf.TensorSpec((None, None, 3), tf.uint8)
        )

    def read(path: str) -> Read:
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                contents = file.read()
            # All of it, which finds what is damaged.
            image, is_transparent = data.decode_with_alpha(
                contents, background=background
            )
            pixels = fitted(tf.constant(contents), image).numpy()
        except tf.errors.OpError as error:
            return data.reason(error)
        return Image(pixels, is_transparent)

    return read
