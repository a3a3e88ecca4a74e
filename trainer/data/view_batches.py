"""All views of examples in their order, as a teacher is asked about them.

Shapes: B = examples of one step on one replica.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer import prng
from trainer.data.augment import Augment
from trainer.data.examples import Batch, Examples, InputShard, num_evaluation_steps
from trainer.data.file_crops import with_crop
from trainer.data.pipeline import pipeline_options

_BATCHES_AHEAD = 4  # ready when a pass asks for them


def view_batches(
    examples: Examples,
    shard: InputShard,
    *,
    augment: Augment,
    seed: int,
    views: Sequence[int],
    first_id: int,
) -> tf.data.Dataset:
    """Every view of each batch, in turn: [B, ...]; the last batch is filled up.

    A training that has the same seed shows the same views. What students learn from
    may be of several sets: `first_id` is added to the ids of this one.
    """

    def crops(view: int) -> tf.data.Dataset | None:
        def keys_of(batch: Batch) -> tf.Tensor:
            return prng.key(seed, view, batch["id"] + first_id)

        cut, show = with_crop(examples, augment, keys_of)
        if cut is examples:
            return None
        return cut.evaluation(shard).map(
            lambda batch: show(batch["input"], keys_of(batch))
        )

    # Of files each view is decoded, and of others each image once.
    of_views = [found for view in views if (found := crops(view)) is not None]
    shown = (
        tf.data.Dataset.choose_from_datasets(
            of_views, tf.data.Dataset.range(len(of_views)).repeat()
        )
        if of_views
        else _of_images(examples, shard, augment, seed, views, first_id)
    )
    return shown.prefetch(_BATCHES_AHEAD).with_options(pipeline_options())


def _of_images(
    examples: Examples,
    shard: InputShard,
    augment: Augment,
    seed: int,
    views: Sequence[int],
    first_id: int,
) -> tf.data.Dataset:
    num_batches = num_evaluation_steps(len(examples), shard) * shard.local_replicas
    batch_size, numbers = shard.per_replica_batch_size, tf.constant(views, tf.int64)
    ids = np.full(num_batches * batch_size, examples.ids[0], np.int64)
    ids[: len(examples)] = examples.ids
    rows = (ids + first_id).reshape(num_batches, batch_size)

    def every_view(batch: Batch, ids: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(numbers).map(
            lambda view: augment(batch["input"], prng.key(seed, view, ids))
        )

    return tf.data.Dataset.zip(
        examples.evaluation(shard), tf.data.Dataset.from_tensor_slices(rows)
    ).flat_map(every_view)
