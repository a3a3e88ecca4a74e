"""The signal of soft targets on disk. B = examples, R = ids, V = views."""

import itertools
from collections.abc import Callable, Sequence

import tensorflow as tf

from trainer.data import UNLABELED_FROM, Batch, host_memory
from trainer.losses import Member
from trainer.soft_targets.cache import Cache
from trainer.soft_targets.record_format import LogitsFormat


class CachedTargets:
    """The teachers' predictions from disk, as auxiliary features of batches.

    `gather` and `decode` put the fields, such as "teacher_0_logits", into a batch
    (trainer.data.pipeline). Inside the step the `signals` read them there, and the
    objective (trainer.train.objective) gives them to the loss; trainer.stages.student
    connects the two.

    `teachers` has the caches of each teacher: that of the labelled examples, and that
    of the unlabelled ones where there are any.
    """

    def __init__(
        self, teachers: Sequence[Sequence[Cache]], *, views: int, memory_bytes: int
    ) -> None:
        """Reads all into memory where that takes no more than `memory_bytes`.

        Those of one set of examples alone can be streamed in its place.

        Raises:
          SoftTargetsError: a shard is damaged, or cannot be streamed.
        """
        self._teachers = teachers
        num_bytes = sum(cache.num_bytes for caches in teachers for cache in caches)
        self._memory: list[_Memory] = []
        if num_bytes <= memory_bytes:
            self._memory = [_Memory(caches, views) for caches in teachers]
        else:
            for caches in teachers:
                caches[0].check_streams()

    @property
    def is_in_memory(self) -> bool:
        """Whether they are gathered from memory, or else streamed from files."""
        return bool(self._memory)

    def gather(self, ids: tf.Tensor, views: tf.Tensor) -> Batch:
        """From memory those of some examples: int64 [B], int64 [B] -> [B, ...] each."""
        return {
            field_name(i, field): values
            for i, memory in enumerate(self._memory)
            for field, values in memory.gather(ids, views).items()
        }

    def stream(
        self, view: tf.Tensor, first: tf.Tensor, last: tf.Tensor
    ) -> tf.data.Dataset:
        """Raw records of consecutive ids: a string for each teacher, [teachers]."""
        columns = [cache.stream(view, first, last) for (cache,) in self._teachers]
        return tf.data.Dataset.zip(*columns).map(lambda *raw: tf.stack(raw))

    def decode(self, records: tf.Tensor, ids: tf.Tensor, views: tf.Tensor) -> Batch:
        """Decodes raw records: string [B, teachers], int64 [B] -> [B, ...] each."""
        return {
            field_name(i, field): value
            for i, (cache,) in enumerate(self._teachers)
            for field, value in cache.parse(records[:, i], ids, views).items()
        }

    def signals(self) -> list[Callable[[Batch], Member]]:
        """The signal of each teacher, from what batches bring."""
        return signals_of([caches[0].format for caches in self._teachers])

    def damage(self) -> str:
        """Describes the first shard that cannot be read; "" where all can."""
        every = (cache for caches in self._teachers for cache in caches)
        return next(filter(None, (cache.damage() for cache in every)), "")


def signals_of(formats: Sequence[LogitsFormat]) -> list[Callable[[Batch], Member]]:
    """The signal of each teacher, from the fields of its format in a batch."""

    def signal(i: int, form: LogitsFormat) -> Callable[[Batch], Member]:
        return lambda batch: form.targets(
            {field: batch[field_name(i, field)] for field in form.fields}
        )

    return [signal(i, form) for i, form in enumerate(formats)]


def field_name(teacher: int, field: str) -> str:
    """The name of a tensor in a batch."""
    return f"teacher_{teacher}_{field}"


class _Memory:
    """The caches of one teacher, each field of their records in a tensor of its own."""

    def __init__(self, caches: Sequence[Cache], views: int) -> None:
        """The ids of unlabelled examples follow the others in each view."""
        form = caches[0].format
        self._num_labeled = caches[0].num_ids
        self._num_ids = sum(cache.num_ids for cache in caches)
        fields = {
            name: host_memory.empty((views * self._num_ids, *kind.shape), kind.base)
            for name in form.fields
            for kind in (form.record[name],)
        }
        begin = 0
        # One by one, since all records and all fields at once take twice as much.
        for view, cache in itertools.product(range(views), caches):
            records = cache.records(view)
            for name, values in fields.items():
                values[begin : begin + len(records)] = records[name]
            begin += len(records)
        self._fields = {name: host_memory.on_host(x) for name, x in fields.items()}

    def gather(self, ids: tf.Tensor, views: tf.Tensor) -> Batch:
        """The fields of some examples: int64 [B], int64 [B] -> [B, ...] each."""
        unlabeled = ids - UNLABELED_FROM + self._num_labeled
        places = tf.where(ids < UNLABELED_FROM, ids, unlabeled)
        rows = views * self._num_ids + places
        return {name: tf.gather(values, rows) for name, values in self._fields.items()}
