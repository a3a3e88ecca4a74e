"""All views of examples in their order, as a teacher is asked about them.

Shapes: B = examples of one step on one replica.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer import prng
from trainer.data.augment import Augment
from trainer.data.examples import Batch, Examples, InputShard, num_evaluation_steps
from trainer.data.file_crops import cuts_files, with_crop
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

    def keys_of(ids: tf.Tensor, view: int | tf.Tensor) -> tf.Tensor:
        return prng.key(seed, view, ids + first_id)

    def crops(view: int) -> tf.data.Dataset:
        cut, show = with_crop(examples, augment, lambda x: keys_of(x["id"], view))
        return cut.evaluation(shard).map(
            lambda batch: show(batch["input"], keys_of(batch["id"], view))
        )

    def every_view(batch: Batch, ids: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(tf.constant(views, tf.int64)).map(
            lambda view: augment(batch["input"], keys_of(ids, view))
        )

    # Of files each view is decoded, and of others each image once.
    if cuts_files(examples, augment):
        turns = tf.data.Dataset.range(len(views)).repeat()
        shown = tf.data.Dataset.choose_from_datasets(list(map(crops, views)), turns)
    else:
        ids = tf.data.Dataset.from_tensor_slices(_ids(examples, shard))
        batches = tf.data.Dataset.zip(examples.evaluation(shard), ids)
        shown = batches.flat_map(every_view)
    return shown.prefetch(_BATCHES_AHEAD).with_options(pipeline_options())


def _ids(examples: Examples, shard: InputShard) -> np.ndarray:
    """The ids of each batch of an evaluation: int64 [batches, B]."""
    num_batches = num_evaluation_steps(len(examples), shard) * shard.local_replicas
    ids = np.full((num_batches, shard.per_replica_batch_size), examples.ids[0])
    ids.flat[: len(examples)] = examples.ids
    return ids
