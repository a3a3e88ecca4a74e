"""A set of examples, as training and evaluation read it.

Shapes: M = examples of the set, B = examples of one step on one replica.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np
import tensorflow as tf

Batch = dict[str, tf.Tensor]


class DataError(ValueError):
    """The data cannot be used; the message names the dataset, split and a way out."""


# What TensorFlow raises of a store that does not answer, or of a disk that fails.
_PASSING = (
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


def is_passing(error: Exception) -> bool:
    """Whether a storage did not answer, which may pass; no file is to blame."""
    return isinstance(error.__cause__, _PASSING)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputShard:
    """The part of each global batch that one input pipeline makes.

    It feeds its own replicas in turn: consecutive elements of the pipeline are the
    consecutive replicas of one step, then those of the next.
    """

    per_replica_batch_size: int
    num_replicas: int  # of the whole run
    first_replica: int  # of this pipeline
    local_replicas: int  # of this pipeline

    @property
    def global_batch_size(self) -> int:
        """Examples of one step, all replicas together."""
        return self.num_replicas * self.per_replica_batch_size


class Examples(Protocol):
    """A set of examples; where it is kept decides how batches are made."""

    @property
    def labels(self) -> np.ndarray:
        """The classes, -1 where there is none: int32 [M]."""

    @property
    def ids(self) -> np.ndarray:
        """Positions in the whole split that the examples come from: int64 [M].

        Where others joined without labels, theirs are above all of these.
        """

    def __len__(self) -> int:
        """M."""

    def select(self, kept: np.ndarray) -> "Examples":
        """The examples where bool [M] is true, in their order."""

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The inputs of some examples, in the order of `rows`: [K] -> [K, ...]."""

    def training(
        self,
        shard: InputShard,
        *,
        seed: int,
        first_step: int,
        map_fn: Callable[[Batch], Batch],
    ) -> tf.data.Dataset:
        """Endless elements of `shard` from `first_step` on, each epoch in a new order.

        `map_fn` makes them of {"input": [B, ...], "label": int32 [B], "id": int64 [B],
        "batch_position": int32 [B], "epoch": int64 [B]}, where batch_position is that
        in the global batch.
        """

    def evaluation(self, shard: InputShard) -> tf.data.Dataset:
        """Every example once, in order: {"input": [B, ...], "weight": float32 [B]}.

        The last step is filled up with inputs of weight 0, so that all shapes are
        static and all replicas take part in every step.
        """


def num_evaluation_steps(num_examples: int, shard: InputShard) -> int:
    """Steps in which every example is seen once."""
    return -(-num_examples // shard.global_batch_size)


def without_labels(examples: Examples, excluded: tuple[int, ...]) -> Examples:
    """The examples whose label is not `excluded`.

    Raises:
      DataError: none is left.
    """
    if not excluded:
        return examples
    kept = ~np.isin(examples.labels, excluded)
    if not kept.any():
        raise DataError(
            f"data.exclude_labels must leave some training examples, "
            f"got {list(excluded)}, which are all classes there are; name fewer"
        )
    return examples.select(kept)
