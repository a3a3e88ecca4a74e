"""Soft targets of nobody, for trying a step before there is a cache. B = examples."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from trainer.config import EMBEDDING
from trainer.data import Batch
from trainer.losses import Member
from trainer.soft_targets.cached import field_name, signals_of
from trainer.soft_targets.record_format import LogitsFormat


class DummyTargets:
    """Dummy teachers that predict 0 for each class, in the place of a cache.

    In the shapes and types of a cache, and read in the same ways.
    """

    def __init__(self, formats: Sequence[LogitsFormat], *, is_in_memory: bool) -> None:
        """`formats` are those of the caches of each teacher."""
        self.is_in_memory = is_in_memory
        self._formats = formats
        with tf.device("/cpu:0"):
            self._predictions = [_zeros(form) for form in formats]

    def gather(self, ids: tf.Tensor, views: tf.Tensor) -> Batch:
        """The same for each example and view: int64 [B], int64 [B] -> [B, ...]."""
        del views
        rows = tf.zeros_like(ids)
        return {
            field_name(i, field): tf.gather(values, rows)
            for i, fields in enumerate(self._predictions)
            for field, values in fields.items()
        }

    def stream(
        self, view: tf.Tensor, first: tf.Tensor, last: tf.Tensor
    ) -> tf.data.Dataset:
        """A record without content for each of consecutive ids."""
        del view
        return tf.data.Dataset.range(first, last).map(lambda _: tf.constant(b""))

    def decode(self, records: tf.Tensor, ids: tf.Tensor, views: tf.Tensor) -> Batch:
        """The same for each record: string [B], int64 [B] -> [B, ...] each."""
        del records
        return self.gather(ids, views)

    def signals(self) -> list[Callable[[Batch], Member]]:
        """The signal of each teacher, from what batches bring."""
        return signals_of(self._formats)

    def damage(self) -> str:
        """Nothing, where there are no files."""
        return ""


def _zeros(form: LogitsFormat) -> Batch:
    size = form.embedding.size if form.embedding else 0
    return form.encode(
        tf.zeros([1, form.num_classes]), {EMBEDDING: tf.zeros([1, size])}
    )
