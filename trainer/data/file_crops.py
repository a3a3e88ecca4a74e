"""Random crops of image files, drawn by the keys of the views that they belong to."""

import dataclasses
from collections.abc import Callable
from typing import TypeGuard

import tensorflow as tf

from trainer.data.augment import Augment
from trainer.data.cropping import Crop
from trainer.data.examples import Batch, Examples
from trainer.data.image_files import FileExamples
from trainer.data.image_parts import inception_parts
from trainer.data.records import RecordExamples

KeysOf = Callable[[Batch], tf.Tensor]  # from a batch to the keys of its views: [B]

# From images and their keys to their views.
Show = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def with_crop(
    examples: Examples, augment: Augment, keys_of: KeysOf
) -> tuple[Examples, Show]:
    """Examples that cut the crop out of their files, and what is left to be shown.

    Those that have no files, or have no crop, are left as they are.
    """
    options = augment.crop
    if options is None or not _has_files(examples):
        return examples, augment

    def draw(batch: Batch, sizes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        heights, widths = tf.unstack(tf.cast(sizes, tf.float32), axis=1)
        keys = keys_of(batch)
        return inception_parts(keys, options, height=heights, width=widths)

    crop = Crop(draw=draw, antialias=options.antialias)
    return dataclasses.replace(examples, crop=crop), augment.after_crop


def cuts_files(examples: Examples, augment: Augment) -> bool:
    """Whether a crop is cut out of files, whose other pixels are not decoded."""
    return augment.crop is not None and _has_files(examples)


def _has_files(examples: Examples) -> TypeGuard[FileExamples | RecordExamples]:
    """Whether images are read that are of any size, and a crop keeps their pixels."""
    if isinstance(examples, RecordExamples):
        return examples.files.format.encoded is not None
    return isinstance(examples, FileExamples)
