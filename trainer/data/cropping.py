"""Random crops of encoded images, cut out before they are resized. B = examples."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer.data.box_decoder import BoxDecoder, crop_cuts
from trainer.data.decoders import decoded
from trainer.data.examples import Batch
from trainer.data.image_box import size_of
from trainer.data.image_parts import mirror


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crop:
    """A random crop, drawn for many images at a time.

    Alone, the arithmetic of a box would cost as much as a small image.
    """

    # From a batch with the epoch and id of each example, and the sizes of their images,
    # int32 [B, 2], to boxes, int32 [B, 4], and whether each is mirrored.
    draw: Callable[[Batch, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    antialias: bool  # pixels are means of those that they cover

    def plan(self, batch: Batch, sizes: tf.Tensor, size: tuple[int, int]) -> Batch:
        """The batch with a "cut" of each image, and whether it is "mirrored"."""
        boxes, mirrored = self.draw(batch, sizes)
        planned = crop_cuts(boxes, size, antialias=self.antialias)
        return batch | {"cut": planned, "mirrored": mirrored}

    def cut(self, example: Batch, decoder: BoxDecoder) -> Batch:
        """An example with its crop as "input", in the place of its "contents"."""
        cut, mirrored = example.pop("cut"), example.pop("mirrored")
        image = decoder.crop(example.pop("contents"), cut, antialias=self.antialias)
        return example | {"input": mirror(image, mirrored)}


def cropped(
    raw: tf.data.Dataset,
    crop: Crop,
    decoder_of: Callable[[Batch], BoxDecoder],
    *,
    size: tuple[int, int],
    read: Callable[..., Batch],
    number: Callable[[Batch], Batch] = dict,
    batch_size: int,
    num_threads: int,
) -> tf.data.Dataset:
    """Crops of images whose sizes are not known before their files are read.

    Args:
      raw: elements that fill batches.
      crop: what is cut out of their images.
      decoder_of: a function from an example, of which it takes out what tells it.
      size: height and width of the crops.
      read: a function from an element to an example with the "contents" of an image.
      number: gives a batch of examples what the crop is drawn by.
      batch_size: of these.
      num_threads: that read and decode.
    """

    def sized(*element: Any) -> Batch:
        example = read(*element)
        whole = decoder_of(dict(example)).whole
        return example | {"size": size_of(example["contents"], whole)}

    def planned(batch: Batch) -> Batch:
        sizes = batch.pop("size")
        return crop.plan(number(batch), sizes, size)

    cut = (
        decoded(raw, sized, num_threads=num_threads)
        .batch(batch_size, drop_remainder=True)
        .map(planned)
        .unbatch()
    )
    return decoded(cut, lambda x: crop.cut(x, decoder_of(x)), num_threads=num_threads)
