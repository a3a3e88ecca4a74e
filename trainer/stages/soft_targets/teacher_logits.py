"""Logits of a teacher for the views of a stretch of examples, and its embedding.

Shapes: B = examples of one pass on one replica, M = examples of the stretch.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer import data, models
from trainer.config import EMBEDDING
from trainer.data import Batch
from trainer.session.networks import Networks
from trainer.session.train_state import augmentation
from trainer.session.transfer_sets import TransferSet
from trainer.soft_targets import Manifest, Shard, SoftTargetsError
from trainer.stages.soft_targets import caches


class TeacherLogits:
    """The teacher's logits of a transfer set, computed by this worker's replicas."""

    def __init__(
        self,
        networks: Networks,
        teacher: keras.Model,
        transfer: TransferSet,
        manifest: Manifest,
    ) -> None:
        """`manifest` says what is kept of them."""
        self._devices = networks.devices
        self._transfer = transfer
        self._format, self._tag = manifest.format, manifest.tag
        self._views = caches.cached_views(networks.config)
        self._augment = augmentation(
            networks.datasets,
            networks.config.student.train,
            setting="student.train",
        )
        self._num_replicas = len(networks.devices.strategy.extended.worker_devices)
        self._batch_size = networks.config.runtime.teacher_batch_size
        self._step = self._compile(networks.fold(teacher))

    def records(
        self, shard: Shard, views: Sequence[int], advance: Callable[[int], object]
    ) -> dict[int, np.ndarray]:
        """The records of some views of a shard, in the order of the ids: [M] each.

        `advance` hears of every so many predictions.

        Raises:
          SoftTargetsError: one is no finite number, or an example is gone.
        """
        every = self._transfer.examples
        within = (every.ids >= shard.first) & (every.ids < shard.last)
        self._check_whole(shard, int(within.sum()))
        if not within.any():
            return {view: np.zeros(0, self._format.record) for view in views}
        examples = every.select(within)
        ids = examples.ids
        by_view = {view: np.zeros(len(ids), self._format.record) for view in views}
        for view, records in by_view.items():
            records["id"] = ids + self._tag(view)
        # A batch of each view, then the next batch; elements are consecutive replicas.
        for i, predictions in enumerate(self._compute(examples, views)):
            batch, place = divmod(i, len(views))
            rows = slice(batch * self._batch_size, (batch + 1) * self._batch_size)
            count = len(ids[rows])
            self._check(ids[rows], predictions)
            for name in self._format.fields:
                by_view[views[place]][name][rows] = predictions[name][:count]
            advance(count)
        order = np.argsort(ids)
        return {view: records[order] for view, records in by_view.items()}

    def secs_of_passes(self, count: int) -> list[float]:
        """Times each of the first `count` passes, after one to begin with."""
        every = self._transfer.examples
        num_examples = (count + 1) * self._batch_size * self._num_replicas
        kept = np.arange(len(every)) < num_examples
        times, started = [], time.perf_counter()
        for i, _ in enumerate(self._compute(every.select(kept), [0]), start=1):
            if i % self._num_replicas == 0:
                now = time.perf_counter()
                times.append(now - started)
                started = now
        return times[1:] or times

    @property
    def num_a_pass(self) -> int:
        """Examples that all replicas of this worker predict at a time."""
        return self._batch_size * self._num_replicas

    def _compute(
        self, examples: data.Examples, views: Sequence[int]
    ) -> Iterator[dict[str, np.ndarray]]:
        """The predictions for each batch in each of the views."""
        inputs = iter(
            data.view_batches(
                examples,
                self._share,
                augment=self._augment,
                seed=self._views.seed,
                views=views,
                first_id=self._transfer.first,
            )
        )
        num_steps = data.num_evaluation_steps(len(examples), self._share) * len(views)

        def find_damage(step: int) -> data.DataError | None:
            # Of its elements, one of each replica, each batch has all views in turn.
            ends = step * self._num_replicas, (step + 1) * self._num_replicas - 1
            first, last = (self._batch_size * (end // len(views)) for end in ends)
            count = last - first + self._batch_size
            return data.damage_of_rows(examples, first, count)

        computed: list[Batch] = []
        for i in range(num_steps + 1):
            with self._devices.termination.watchdog("a pass of the teacher"):
                # One is computed while the one before it is looked at.
                if i < num_steps:
                    with data.reading(functools.partial(find_damage, i)):
                        group = [next(inputs) for _ in range(self._num_replicas)]
                    computed.append(self._run(group))
                if i > 0:
                    done = computed.pop(0)
                    for replica in range(self._num_replicas):
                        yield {
                            name: self._local(values)[replica].numpy()
                            for name, values in done.items()
                        }

    @property
    def _share(self) -> data.InputShard:
        return data.InputShard(
            per_replica_batch_size=self._batch_size,
            num_replicas=self._num_replicas,
            first_replica=0,
            local_replicas=self._num_replicas,
        )

    def _run(self, group: list[tf.Tensor]) -> Batch:
        strategy = self._devices.strategy
        if self._num_replicas == 1:
            return self._step(group[0])
        return self._step(
            strategy.experimental_distribute_values_from_function(
                lambda context: group[
                    context.replica_id_in_sync_group % self._num_replicas
                ]
            )
        )

    def _local(self, values: tf.Tensor) -> tuple[tf.Tensor, ...]:
        results: tuple[tf.Tensor, ...] = (
            self._devices.strategy.experimental_local_results(values)
        )
        return results

    def _compile(self, teacher: keras.Model) -> Callable[[tf.Tensor], Batch]:
        strategy, xla = self._devices.strategy, self._devices.compiles("teacher")
        embedding = self._format.embedding
        # A folded layer has the input that it had.
        taps = (
            {EMBEDDING: models.Tap(path=embedding.layer, is_input=True)}
            if embedding
            else {}
        )

        @tf.function(jit_compile=xla, autograph=False)
        def predict(inputs: tf.Tensor) -> Batch:
            logits, features = models.call_tapped(
                teacher, inputs, training=False, taps=taps
            )
            logits = tf.cast(logits, tf.float32)
            kept = self._format.encode(logits, features)
            for name, values in {"logits": logits, **features}.items():
                kept[f"{name} finite"] = _are_finite(values)
                kept[f"{name} fit"] = _are_finite(kept[name])
            return kept

        def on_replica(inputs: tf.Tensor) -> Batch:
            result: Batch = predict(inputs)
            return result

        def step(inputs: tf.Tensor) -> Batch:
            result: Batch = strategy.run(on_replica, args=(inputs,))
            return result

        compiled: Callable[[tf.Tensor], Batch] = tf.function(step, autograph=False)
        return compiled

    def _check_whole(self, shard: Shard, count: int) -> None:
        if count != shard.count:
            raise SoftTargetsError(
                f"the ids {shard.first} to {shard.last - 1} of split "
                f"{self._transfer.split!r} must be of {shard.count} examples as the "
                f"cache has them, got {count}, because images are gone since; build "
                "all soft targets anew in another distill.soft_targets_dir"
            )

    def _check(self, ids: np.ndarray, predictions: dict[str, np.ndarray]) -> None:
        form = self._format
        kinds = {"logits": (form.dtype, "soft_targets_dtype")}
        if form.embedding:
            kinds[EMBEDDING] = (form.embedding.dtype, "cache_embedding_dtype")
        for name, (dtype, setting) in kinds.items():
            for test, what, way in (
                ("finite", "NaN or infinity", "mend the teacher, or leave it out"),
                ("fit", f"one beyond {dtype}", f"set distill.{setting} = 'float32'"),
            ):
                broken = ids[~predictions[f"{name} {test}"][: len(ids)]]
                if len(broken):
                    raise SoftTargetsError(
                        f"the teacher's {name} must be finite numbers, got {what} for "
                        f"the example with id {broken[0]} of split "
                        f"{self._transfer.split!r} ({self._transfer.name}); {way}"
                    )


def _are_finite(values: tf.Tensor) -> tf.Tensor:
    """Whether all values of an example are: [B, ...] -> bool [B]."""
    return tf.reduce_all(tf.math.is_finite(values), axis=1)
