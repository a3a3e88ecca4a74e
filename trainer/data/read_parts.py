"""Parts of an epoch that are read side by side, each for its own places of a batch.

The places of a global batch are divided among P parts, in their order. An epoch's
records, in the order in which its files are read, are cut into P stretches, one for
each part, as long as the part has places in that epoch. So each example is shown once,
each batch is the same however many workers make it, and a worker reads the parts of its
places alone. With one part there is one stretch: the epoch.

Shapes: P = parts.
"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from trainer import prng
from trainer.data.examples import InputShard
from trainer.data.order import permute

_STRETCHES = -1  # a word of the key of their order, which is no window's number


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadParts:
    """The parts of the epochs of a training.

    Position p of the endless sequence is at the place p modulo `batch_size`.
    """

    count: int  # P, at most batch_size
    batch_size: int  # examples of one step, all replicas together
    num_examples: int
    seed: int

    @functools.cached_property
    def bounds(self) -> np.ndarray:
        """The first place of each part, and the end of the last: int64 [P + 1]."""
        return -(-np.arange(self.count + 1) * self.batch_size // self.count)

    @property
    def sizes(self) -> np.ndarray:
        """The number of places that each part has in a batch: int64 [P]."""
        return np.diff(self.bounds)

    def parts_of(self, shard: InputShard) -> np.ndarray:
        """The part of each place that a pipeline fills: int64 [its places]."""
        first = shard.first_replica * shard.per_replica_batch_size
        own = shard.local_replicas * shard.per_replica_batch_size
        places = np.arange(first, first + own)
        return np.searchsorted(self.bounds, places, side="right") - 1

    def turns_before(self, positions: tf.Tensor) -> tf.Tensor:
        """The turns that each part has had before a position: int64 [] -> int64 [P].

        A part has a turn at each of its places of each batch.
        """
        batches, place = positions // self.batch_size, positions % self.batch_size
        begun = tf.clip_by_value(place - self.bounds[:-1], 0, self.sizes)
        return batches * self.sizes + begun

    def position(self, part: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
        """The positions at which a part has these turns: int64 [B] -> int64 [B]."""
        size = tf.gather(self.sizes, part)
        place = turns % size + tf.gather(self.bounds, part)
        return turns // size * self.batch_size + place

    def stretch(self, epoch: tf.Tensor, part: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The first record of a part among those of an epoch, and one past its last."""
        before = self.turns_before(epoch * self.num_examples)
        counts = self.turns_before((epoch + 1) * self.num_examples) - before
        # In another order each epoch, so that a part has no records of its own where
        # few files can change their places.
        order = permuted(
            tf.range(self.count, dtype=tf.int64),
            prng.key(self.seed, epoch, _STRETCHES),
        )
        ends = tf.cumsum(tf.gather(counts, order))
        end = tf.gather(ends, tf.argsort(order))[part]
        return end - counts[part], end


def permuted(indices: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """All of 0, 1, 2, ... in the order of one key."""
    count = tf.size(indices)
    largest = tf.fill([count], tf.cast(count - 1, indices.dtype))
    return permute(indices, tf.fill([count], key), largest=largest)
