"""Raw records in the order of training: windows of them, shuffled.

Shapes: K = records of a window.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer import prng
from trainer.data.examples import Batch, InputShard
from trainer.data.read_parts import ReadParts, permuted
from trainer.data.record_files import OfIds, Reader

_FEW = 32  # records that are copied at a time


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RecordWindows:
    """The raw records that a pipeline decodes, from a step on."""

    reader: Reader
    shard: InputShard
    parts: ReadParts
    window: int  # records shuffled together, in all parts
    first_step: int
    auxiliary_of: Callable[[tf.Tensor], OfIds | None]  # of an epoch

    def read(self) -> tf.data.Dataset:
        """The records in the order of their places, each from the part that has it.

        Elements are {"row": int64, "position": int64, "record": string}, with
        "auxiliary" where the epoch has it.
        """
        own, counts = np.unique(self.parts.parts_of(self.shard), return_counts=True)
        if len(own) == 1:
            return self._of_part(tf.constant(own[0]))
        # In turns of as many records as a part has in each step.
        turns = tf.data.Dataset.from_tensor_slices((own, counts.astype(np.int64)))
        return turns.interleave(
            lambda part, count: self._of_part(part).batch(count), cycle_length=len(own)
        ).unbatch()

    def _of_part(self, part: tf.Tensor) -> tf.data.Dataset:
        first_epoch = self._first_position // self.parts.num_examples
        windows = tf.data.Dataset.counter(first_epoch, dtype=tf.int64).flat_map(
            lambda epoch: self._of_epoch(part, epoch)
        )
        return windows.prefetch(1).flat_map(_in_order).unbatch()

    @property
    def _first_position(self) -> int:
        return self.first_step * self.parts.batch_size

    def _of_epoch(self, part: tf.Tensor, epoch: tf.Tensor) -> tf.data.Dataset:
        """The windows of a part of an epoch, each of own records."""
        parts, length = self.parts, max(1, self.window // self.parts.count)
        before = parts.turns_before(epoch * parts.num_examples)[part]
        first_turn = self.first_step * tf.gather(parts.sizes, part)
        first_window = tf.maximum(first_turn - before, 0) // length
        begin, end = parts.stretch(epoch, part)
        records = self.reader.in_order(
            permuted(tf.range(self.reader.num_stretches), prng.key(parts.seed, epoch)),
            begin=begin + first_window * length,
            end=end,
            auxiliary=self.auxiliary_of(epoch),
        )
        numbers = tf.data.Dataset.counter(first_window, dtype=tf.int64)
        # One part is the whole epoch, whose windows have no other number.
        words = (part,) if parts.count > 1 else ()
        return tf.data.Dataset.zip(numbers, records.batch(length)).map(
            lambda window, raw: self._own(
                raw,
                positions=parts.position(part, before + window * length + _count(raw)),
                key=prng.key(parts.seed, epoch, window, *words),
            )
        )

    def _own(
        self, raw: tuple[tf.Tensor, ...], *, positions: tf.Tensor, key: tf.Tensor
    ) -> Batch:
        """The own records of a window, and the order to its `positions`, int64 [K]."""
        mine = _is_of(self.shard, positions) & (positions >= self._first_position)
        order = permuted(_count(raw), key)[mine]
        if self.shard.local_replicas < self.shard.num_replicas:
            # Those of others are not kept in memory.
            raw = tuple(tf.gather(kind, order) for kind in raw)
            order = tf.range(tf.size(order, tf.int64))
        # One kind of records, or two with what is kept auxiliary.
        kinds = dict(zip(("row", "record", "auxiliary"), raw, strict=False))
        return {"raw": kinds, "order": order, "position": positions[mine]}


def _in_order(window: Batch) -> tf.data.Dataset:
    """The records of a window in their order, a few together."""
    # A copy of all of them would take as long as a tenth of their decoding, because
    # its memory comes anew from the system.
    places = {name: window[name] for name in ("order", "position")}
    few = tf.data.Dataset.from_tensor_slices(places).batch(_FEW)
    return few.map(
        lambda few: {
            "position": few["position"],
            **{
                name: tf.gather(kind, few["order"])
                for name, kind in window["raw"].items()
            },
        }
    )


def _count(raw: tuple[tf.Tensor, ...]) -> tf.Tensor:
    """The numbers of the records of a window: int64 [K]."""
    return tf.range(tf.size(raw[0], tf.int64))


def _is_of(shard: InputShard, positions: tf.Tensor) -> tf.Tensor:
    """Whether a pipeline makes the examples at `positions` of the endless sequence."""
    batch_positions = positions % shard.global_batch_size
    replicas = batch_positions // shard.per_replica_batch_size - shard.first_replica
    return (replicas >= 0) & (replicas < shard.local_replicas)
