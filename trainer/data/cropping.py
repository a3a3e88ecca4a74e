"""Random crops of encoded images, cut out before they are resized. B = examples."""

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from trainer.data.decoders import decoded
from trainer.data.examples import Batch
from trainer.data.image_box import BoxOf, size_of
from trainer.data.image_parts import mirror

# From a batch with the epoch and id of each example and the sizes of their images,
# int32 [B, 2], to the same with the "box" of each, and whether it is "mirrored".
Crop = Callable[[Batch, tf.Tensor], Batch]


class Decode(Protocol):
    """A function from an example with the "contents" of an image."""

    def __call__(
        self, example: Batch, box_of: BoxOf | None = None, *, quickly: bool = False
    ) -> Batch:
        """The same with "input", uint8 as models take it, in their place.

        That is a box of the image, as decode_box has it, or that of evaluation.
        """


def cropped(
    examples: tf.data.Dataset,
    crop: Crop,
    decode: Decode,
    *,
    batch_size: int,
    num_threads: int,
) -> tf.data.Dataset:
    """Examples with the contents of images whose sizes are not known, with crops."""

    def sized(example: Batch) -> Batch:
        return example | {"size": size_of(example["contents"])}

    # Many boxes at a time: alone, their arithmetic would cost as much as a small image.
    boxes = (
        decoded(examples, sized, num_threads=num_threads)
        .batch(batch_size, drop_remainder=True)
        .map(lambda batch: crop(batch, batch.pop("size")))
        .unbatch()
    )
    return decoded(boxes, lambda x: cut(x, decode), num_threads=num_threads)


def cut(example: Batch, decode: Decode) -> Batch:
    """An example with its crop as "input", in the place of what it is made of."""
    box, mirrored = example.pop("box"), example.pop("mirrored")
    example = decode(example, lambda _: box, quickly=True)
    return example | {"input": mirror(example["input"], mirrored)}
