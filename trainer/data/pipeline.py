"""Batches for the devices of a strategy, from any kind of examples.

Shapes: B = examples of one step on one replica.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import tensorflow as tf

from trainer import prng
from trainer.data.augment import Augment
from trainer.data.auxiliary import AuxiliaryFeatures, Views
from trainer.data.examples import (
    Batch,
    Examples,
    InputShard,
    num_evaluation_steps,
)
from trainer.data.file_crops import with_crop
from trainer.data.records import RecordExamples

_ELEMENTS_AHEAD = 4  # ready when they are asked for

Batches = Iterable[Batch]  # distributed where there are several devices


def training_batches(
    examples: Examples,
    *,
    augment: Augment,
    views: Views,
    auxiliary: AuxiliaryFeatures | None,
    seed: int,
    per_replica_batch_size: int,
    first_step: int,
    strategy: tf.distribute.Strategy,
    steps_per_execution: int = 1,
) -> Batches:
    """The endless dataset of training batches from `first_step` on.

    Where `steps_per_execution` N is above 1, batches are stacked: [N, B, ...]. Each
    batch is {"input": [B, ...], "label": int32 [B], "id": int64 [B], "batch_position":
    int32 [B]}, where batch_position is that in the global batch, and the `auxiliary`
    features of the views. `augment` shows it as `views` say; `seed` is of the order.
    Only record files stream features that are not in memory.
    """
    if auxiliary and not auxiliary.is_in_memory:
        if not isinstance(examples, RecordExamples):
            raise TypeError(f"{type(examples).__name__} cannot stream other features")
        examples = dataclasses.replace(examples, auxiliary=auxiliary, views=views)
    keys_of = functools.partial(_keys_of, views)
    examples, show = with_crop(examples, augment, keys_of)

    def map_fn(batch: Batch) -> Batch:
        keys, view = keys_of(batch), views.at_epochs(batch.pop("epoch"))
        if auxiliary and auxiliary.is_in_memory:
            batch |= auxiliary.gather(batch["id"], view)
        return batch | {"input": show(batch["input"], keys)}

    def elements(shard: InputShard) -> tf.data.Dataset:
        batches = examples.training(
            shard, seed=seed, first_step=first_step, map_fn=map_fn
        )
        return _stack(batches, steps_per_execution)

    return _distribute(elements, per_replica_batch_size, strategy)


def _keys_of(views: Views, batch: Batch) -> tf.Tensor:
    """The keys of the views that a batch shows: [B]."""
    return prng.key(views.seed, views.at_epochs(batch["epoch"]), batch["id"])


def _stack(batches: tf.data.Dataset, count: int) -> tf.data.Dataset:
    if count == 1:
        return batches
    return batches.batch(count, drop_remainder=True).prefetch(_ELEMENTS_AHEAD)


def evaluation_batches(
    examples: Examples, *, per_replica_batch_size: int, strategy: tf.distribute.Strategy
) -> tuple[Batches, int]:
    """The dataset that shows all examples in order, and steps to see each.

    Elements are {"input": [B, ...], "weight": float32 [B]}; what fills up the last step
    has weight 0.
    """
    # Endless, because a worker may run out of a finite set before others do, and
    # TensorFlow would then bring it batches without examples, in shapes not known.
    batches = _distribute(
        lambda shard: examples.evaluation(shard).repeat().prefetch(_ELEMENTS_AHEAD),
        per_replica_batch_size,
        strategy,
    )
    whole = shard_of(tf.distribute.InputContext(), per_replica_batch_size, strategy)
    return batches, num_evaluation_steps(len(examples), whole)


def shard_of(
    context: tf.distribute.InputContext,
    per_replica_batch_size: int,
    strategy: tf.distribute.Strategy,
) -> InputShard:
    """The shard of the input pipeline that `context` describes."""
    num_replicas = strategy.num_replicas_in_sync
    local = num_replicas // context.num_input_pipelines
    return InputShard(
        per_replica_batch_size=per_replica_batch_size,
        num_replicas=num_replicas,
        first_replica=context.input_pipeline_id * local,
        local_replicas=local,
    )


def _distribute(
    elements: Callable[[InputShard], tf.data.Dataset],
    per_replica_batch_size: int,
    strategy: tf.distribute.Strategy,
) -> Batches:
    def of_pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
        shard = shard_of(context, per_replica_batch_size, strategy)
        return elements(shard).with_options(pipeline_options())

    if _is_one_cpu(strategy):
        # Where batches are made is where they are wanted; a distributed iterator would
        # only take six times as long to hand them over.
        batches: Batches = of_pipeline(tf.distribute.InputContext())
    else:
        batches = strategy.distribute_datasets_from_function(of_pipeline)
    return batches


def _is_one_cpu(strategy: tf.distribute.Strategy) -> bool:
    device = tf.DeviceSpec.from_string(strategy.extended.worker_devices[0])
    return (strategy.num_replicas_in_sync, device.device_type) == (1, "CPU")


def pipeline_options() -> tf.data.Options:
    """The tf.data options of every pipeline."""
    options = tf.data.Options()
    # There is nothing to tune, and an iterator that tunes itself takes seconds to end.
    options.autotune.enabled = False
    return options
