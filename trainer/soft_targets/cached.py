"""The signal of soft targets on disk. B = examples, R = ids, V = views."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer.data import UNLABELED_FROM, Batch
from trainer.losses import SoftTargets
from trainer.soft_targets.cache import Cache
from trainer.soft_targets.errors import SoftTargetsError


class CachedTargets:
    """What batches bring of the teachers' answers; see trainer.data.beside.Beside.

    `teachers` has the caches of each teacher: that of the labelled examples, and that
    of the unlabelled ones where there are any.
    """

    def __init__(
        self, teachers: Sequence[Sequence[Cache]], *, views: int, memory_bytes: int
    ) -> None:
        """Reads all into memory where that takes no more than `memory_bytes`.

        Raises:
          SoftTargetsError: a shard is damaged, or caches that are to be streamed are
            not those of one set of examples.
        """
        self._teachers = teachers
        num_bytes = sum(cache.num_bytes for caches in teachers for cache in caches)
        self._memory: list[dict[str, tf.Tensor]] = []
        if num_bytes <= memory_bytes:
            self._memory = [_in_memory(caches, views) for caches in teachers]
        elif len(teachers[0]) > 1:
            raise SoftTargetsError(
                "data.memory_budget_bytes must cover the soft targets where there is "
                f"data.unlabeled, {num_bytes} bytes, got {memory_bytes}; raise it, or "
                "lower distill.views or set distill.top_k"
            )

    @property
    def is_in_memory(self) -> bool:
        """Whether they are gathered from memory, or else streamed from files."""
        return bool(self._memory)

    def gathered(self, ids: tf.Tensor, views: tf.Tensor) -> Batch:
        """From memory those of some examples: int64 [B], int64 [B] -> [B, ...] each."""
        rows = [_rows(caches, ids, views) for caches in self._teachers]
        return {
            _name(i, field): tf.gather(values, rows[i])
            for i, fields in enumerate(self._memory)
            for field, values in fields.items()
        }

    def streamed(
        self, view: tf.Tensor, first: tf.Tensor, last: tf.Tensor
    ) -> tf.data.Dataset:
        """Raw records of consecutive ids: a string for each teacher, [teachers]."""
        columns = [cache.streamed(view, first, last) for (cache,) in self._teachers]
        return tf.data.Dataset.zip(*columns).map(lambda *raw: tf.stack(raw))

    def decoded(self, records: tf.Tensor, ids: tf.Tensor) -> Batch:
        """What raw records hold: string [B, teachers], int64 [B] -> [B, ...] each."""
        return {
            _name(i, field): value
            for i, (cache,) in enumerate(self._teachers)
            for field, value in cache.parsed(records[:, i], ids).items()
        }

    def signals(self, *, temperature: float) -> list[Callable[[Batch], SoftTargets]]:
        """The signal of each teacher, from what batches bring."""

        def signal(i: int) -> Callable[[Batch], SoftTargets]:
            form = self._teachers[i][0].format
            return lambda batch: form.targets(
                {field: batch[_name(i, field)] for field in form.fields},
                temperature=temperature,
            )

        return [signal(i) for i in range(len(self._teachers))]

    def damage(self) -> str:
        """What is wrong with the first shard that cannot be read; "" with none."""
        every = (cache for caches in self._teachers for cache in caches)
        return next(filter(None, (cache.damage() for cache in every)), "")


def _name(teacher: int, field: str) -> str:
    """Of a tensor in a batch."""
    return f"teacher_{teacher}_{field}"


def _in_memory(caches: Sequence[Cache], views: int) -> dict[str, tf.Tensor]:
    """Each field of the records of one teacher: [V * R, ...]."""
    records = np.concatenate(
        [cache.records(view) for view in range(views) for cache in caches]
    )
    with tf.device("/cpu:0"):
        return {
            field: tf.constant(np.ascontiguousarray(records[field]))
            for field in caches[0].format.fields
        }


def _rows(caches: Sequence[Cache], ids: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
    """Where the records of some examples are in the memory of one teacher: [B]."""
    labeled, *_ = caches
    is_unlabeled = ids >= UNLABELED_FROM
    places = tf.where(is_unlabeled, ids - UNLABELED_FROM + labeled.num_ids, ids)
    return views * sum(cache.num_ids for cache in caches) + places
