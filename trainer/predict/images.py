"""Images from files as a model takes them, some ahead of those that are asked for."""

import collections
import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from trainer import data
from trainer.config import Colour, EvaluateView
from trainer.predict.example_reader import Example

Futures = list[concurrent.futures.Future[Example]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageReader:
    """Reads images, one a file; see trainer.predict.example_reader.Reader."""

    shape: tuple[int, int, int]  # (H, W, channels) of an image
    view: EvaluateView  # the part of an image that is brought to that size
    background: Colour | None  # behind transparent pixels; None drops alpha

    unit, keys, extensions = "image", ("path",), data.EXTENSIONS
    is_one = staticmethod(data.is_image)

    def batches(
        self, paths: Sequence[str], *, batch_size: int
    ) -> Iterator[list[Example]]:
        """Each file's image, uint8 of `shape`, in the order of the paths.

        In memory are two batches at a time.
        """
        read = _reader(self.shape, self.view, self.background)
        ahead: collections.deque[Futures] = collections.deque()
        with concurrent.futures.ThreadPoolExecutor(data.num_readers()) as pool:
            for first in range(0, len(paths), batch_size):
                batch = paths[first : first + batch_size]
                ahead.append([pool.submit(read, path) for path in batch])
                if len(ahead) > 1:
                    yield [future.result() for future in ahead.popleft()]
            while ahead:
                yield [future.result() for future in ahead.popleft()]


def _reader(
    shape: tuple[int, int, int], view: EvaluateView, background: Colour | None
) -> Callable[[str], Example]:
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

    def read(path: str) -> Example:
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                contents = file.read()
            # All of it, which finds what is damaged.
            image, is_transparent = data.decode_with_alpha(
                contents, background=background
            )
            pixels = fitted(tf.constant(contents), image).numpy()
        except tf.errors.OpError as error:
            return Example(place=(path,), inputs=data.without_kinds(data.reason(error)))
        return Example(place=(path,), inputs=pixels, is_transparent=is_transparent)

    return read
