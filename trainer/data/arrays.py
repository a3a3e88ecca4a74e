"""Examples in memory: batches are gathered from arrays. M, B as in examples."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.data.examples import Batch, InputShard, num_evaluation_steps
from trainer.data.host_memory import empty, on_host
from trainer.data.order import shuffle

# Enough to hide a gather of small images behind a step, on any number of cores.
_GATHERS_IN_THE_MAKING = 4
# A gather makes several batches where they are small, for a dozen operations that a
# pipeline starts for each gather take longer than a small batch.
_GATHER_BYTES, _GATHER_BATCHES = 2**20, 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrayExamples:
    """Examples whose inputs are an array; see trainer.data.examples.Examples."""

    inputs: np.ndarray  # uint8 [M, H, W, channels], or float32 [M, features]
    labels: np.ndarray  # int32 [M]
    ids: np.ndarray  # int64 [M]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, kept: np.ndarray) -> "ArrayExamples":
        """The examples where bool [M] is true, in their order."""
        inputs = empty((kept.sum(), *self.inputs.shape[1:]), self.inputs.dtype)
        inputs[:] = self.inputs[kept]
        return ArrayExamples(
            inputs=inputs, labels=self.labels[kept], ids=self.ids[kept]
        )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The inputs of some examples, in the order of `rows`: [K] -> [K, ...]."""
        selected: np.ndarray = self.inputs[rows]
        return selected

    def training(
        self,
        shard: InputShard,
        *,
        seed: int,
        first_step: int,
        map_fn: Callable[[Batch], Batch],
    ) -> tf.data.Dataset:
        """Endless batches, of which one gather makes several."""
        inputs, labels, ids = map(on_host, (self.inputs, self.labels, self.ids))
        batch_size = shard.per_replica_batch_size
        at_once = _batches_at_once(self.inputs[:1].nbytes * batch_size)

        def batches_of(first: tf.Tensor) -> Batch:
            step, in_batch = steps_and_positions(
                first + tf.range(at_once, dtype=tf.int64), shard
            )
            positions = step[:, tf.newaxis] * shard.global_batch_size + in_batch
            epochs, rows = shuffle(
                tf.reshape(positions, [-1]), num_examples=len(self), seed=seed
            )
            examples = map_fn(
                {
                    "input": tf.gather(inputs, rows),
                    "label": tf.gather(labels, rows),
                    "id": tf.gather(ids, rows),
                    "batch_position": tf.cast(tf.reshape(in_batch, [-1]), tf.int32),
                    "epoch": epochs,
                }
            )
            return {
                name: tf.reshape(values, [at_once, batch_size, *values.shape[1:]])
                for name, values in examples.items()
            }

        firsts = tf.data.Dataset.counter(
            first_step * shard.local_replicas, at_once, dtype=tf.int64
        )
        return _map_batches(firsts, batches_of).unbatch()

    def evaluation(self, shard: InputShard) -> tf.data.Dataset:
        """Batches in order; the last step is filled up with copies of row 0."""
        inputs = on_host(self.inputs)

        def batch_of(element: tf.Tensor) -> Batch:
            step, batch_positions = steps_and_positions(element, shard)
            rows = step * shard.global_batch_size + batch_positions
            inside = rows < len(self)
            return {
                "input": tf.gather(inputs, tf.where(inside, rows, 0)),
                "weight": tf.cast(inside, tf.float32),
            }

        num_elements = num_evaluation_steps(len(self), shard) * shard.local_replicas
        return _map_batches(tf.data.Dataset.range(num_elements), batch_of)


def steps_and_positions(
    elements: tf.Tensor, shard: InputShard
) -> tuple[tf.Tensor, tf.Tensor]:
    """The steps of a pipeline's elements, and their places in the global batch.

    int64 [...] -> int64 [...], int64 [..., B].
    """
    replicas = shard.first_replica + elements % shard.local_replicas
    within = tf.range(shard.per_replica_batch_size, dtype=tf.int64)
    return (
        elements // shard.local_replicas,
        replicas[..., tf.newaxis] * shard.per_replica_batch_size + within,
    )


def _batches_at_once(batch_bytes: int) -> int:
    return max(1, min(_GATHER_BATCHES, _GATHER_BYTES // batch_bytes))


def _map_batches(
    elements: tf.data.Dataset, batch_of: Callable[[tf.Tensor], Batch]
) -> tf.data.Dataset:
    return elements.map(
        batch_of, num_parallel_calls=_GATHERS_IN_THE_MAKING, deterministic=True
    )
