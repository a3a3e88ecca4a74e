"""Batches as a function of the step: which examples, in which order, which view.

A training run reads an endless sequence of positions. Position p is in epoch p // M,
and each epoch is a permutation of the M examples; step k takes the positions from
k * global_batch_size on, across the end of an epoch where it falls inside a batch. The
state of the pipeline is therefore the step, and replicas share the same global batch
however many they are.

Shapes: M = examples of the set, B = examples of one step on one replica.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from trainer import noise
from trainer.data.augment import Augment
from trainer.data.examples import Examples

# Enough to hide a gather of small images behind a step, on any number of cores.
_BATCHES_IN_THE_MAKING = 4

Batch = dict[str, tf.Tensor]
Batches = Iterable[Batch]  # a distributed dataset


def training_batches(
    examples: Examples,
    *,
    augment: Augment,
    seed: int,
    per_replica_batch_size: int,
    first_step: int,
    strategy: tf.distribute.Strategy,
) -> Batches:
    """The endless distributed dataset of training batches from `first_step` on.

    Each element is {"image": uint8 [B, H, W, channels], "label": int32 [B], "id":
    int64 [B], "slot": int32 [B]}, where slot is the position in the global batch.
    `augment` (trainer.data.augmentation) sees the same example anew in each epoch.
    """
    images, labels, ids = (
        _on_host(array) for array in (examples.images, examples.labels, examples.ids)
    )
    global_batch_size = strategy.num_replicas_in_sync * per_replica_batch_size

    def batch_of(step: tf.Tensor, replica: tf.Tensor) -> Batch:
        share = tf.range(per_replica_batch_size, dtype=tf.int64)
        slots = replica * per_replica_batch_size + share
        epochs, rows = shuffled(
            step * global_batch_size + slots, num_examples=len(examples), seed=seed
        )
        batch_ids = tf.gather(ids, rows)
        keys = noise.key(seed, epochs, batch_ids)
        return {
            "image": augment(tf.gather(images, rows), keys),
            "label": tf.gather(labels, rows),
            "id": batch_ids,
            "slot": tf.cast(slots, tf.int32),
        }

    return _distributed(batch_of, strategy, first_step=first_step, num_steps=None)


def shuffled(
    positions: tf.Tensor, *, num_examples: int, seed: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Epoch and row of each position: int64 [B] -> int64 [B], int64 [B]."""
    epochs = positions // num_examples
    # tf.random.experimental.index_shuffle is this operation, but TensorFlow 2.21 pads a
    # batch of its seeds along the wrong axis too. Up to 2**16 examples it uses the last
    # 8 bits of each of the seed's words, and its default of 4 rounds leaves traces of
    # the order; hence three words of random bits, and 8 rounds.
    rows = tf.raw_ops.RandomIndexShuffle(
        index=positions % num_examples,
        seed=noise.bits(noise.key(seed, epochs), 3),
        max_index=tf.zeros_like(epochs) + (num_examples - 1),
        rounds=8,
    )
    return epochs, rows


def evaluation_batches(
    images: np.ndarray, *, per_replica_batch_size: int, strategy: tf.distribute.Strategy
) -> tuple[Batches, int]:
    """The distributed dataset that shows each image once, in order, and its steps.

    Elements are {"image": uint8 [B, ...], "weight": float32 [B]}. The last step is
    filled with copies of image 0 at weight 0, so that all shapes are static and all
    replicas take part in every step.
    """
    num_examples = len(images)
    num_replicas = strategy.num_replicas_in_sync
    num_steps = math.ceil(num_examples / (num_replicas * per_replica_batch_size))
    table = _on_host(images)

    def batch_of(step: tf.Tensor, replica: tf.Tensor) -> Batch:
        first = (step * num_replicas + replica) * per_replica_batch_size
        rows = first + tf.range(per_replica_batch_size, dtype=tf.int64)
        inside = rows < num_examples
        return {
            "image": tf.gather(table, tf.where(inside, rows, 0)),
            "weight": tf.cast(inside, tf.float32),
        }

    batches = _distributed(batch_of, strategy, first_step=0, num_steps=num_steps)
    return batches, num_steps


def _on_host(array: np.ndarray) -> tf.Tensor:
    # Where the batches are made; elsewhere a whole dataset would fill a GPU's memory.
    with tf.device("/cpu:0"):
        return tf.constant(array)


def _distributed(
    batch_of: Callable[[tf.Tensor, tf.Tensor], Batch],
    strategy: tf.distribute.Strategy,
    *,
    first_step: int,
    num_steps: int | None,
) -> Batches:
    """The dataset of `batch_of(step, replica)`, endless where there is no `num_steps`.

    A pipeline feeds its own replicas in turn, so that its consecutive elements are the
    consecutive replicas of one step, then those of the next.
    """

    def of_pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = strategy.num_replicas_in_sync // context.num_input_pipelines
        first_replica = context.input_pipeline_id * local
        elements = tf.data.Dataset.counter(first_step * local, dtype=tf.int64)
        if num_steps is not None:
            elements = elements.take(num_steps * local)
        return (
            elements.map(
                lambda n: batch_of(n // local, first_replica + n % local),
                num_parallel_calls=_BATCHES_IN_THE_MAKING,
                deterministic=True,
            )
            .prefetch(_BATCHES_IN_THE_MAKING)
            .with_options(_options())
        )

    batches: Batches = strategy.distribute_datasets_from_function(of_pipeline)
    return batches


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # There is nothing to tune, and an iterator that tunes itself takes seconds to end.
    options.autotune.enabled = False
    return options
