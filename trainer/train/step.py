"""The training step: XLA computes, tf.distribute communicates, XLA updates.

On each replica a compiled core turns its share of the global batch into one flat
float32 vector: the sums of gradients, BatchNorm statistics and metrics. One all-reduce
adds the vectors up, outside XLA, and a compiled update moves the replica's own copy of
every variable. All copies see the same sums, so they stay equal bit for bit. The vector
also carries whether a worker is asked to stop, so that all of them stop together.

Shapes: P = length of the flat vector, K = metrics.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import keras
import tensorflow as tf

from trainer import data
from trainer.config import ConfigError
from trainer.data import Batch, Batches
from trainer.optimizers import OptimizerUpdate, Schedule
from trainer.optimizers.vector import flatten, unflatten
from trainer.train.execution import (
    Compiled,
    MultiStep,
    TrainStep,
    repeat_in_programs,
    repeat_steps,
)
from trainer.train.objective import NUM_LABELED, Objective


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A compiled training step that repeats over endless batches."""

    objective: Objective
    scaled: bool  # whether a loss scale may skip updates
    compute: Compiled  # one replica's part before the all-reduce: one trace a replica
    # From int32 [] steps to float64 [K + 5] sums: of the metrics, the examples, the
    # gradient norm, the updates, the loss scale and the stop flag.
    multi_step: MultiStep

    def run(self, num_steps: int) -> dict[str, float]:
        """Takes `num_steps` steps; gives each metric's mean over their examples.

        A mean is not finite as soon as one of its values is not, and is left out where
        there is no example. Steps that a loss scale skipped, since their gradients
        overflowed, are in no mean; `overflow` is their share. `stop` is above 0 where a
        worker was asked to stop.

        Raises:
          DataError: the examples can no longer be read.
        """
        # A tensor, not a number: a number would trace anew for each length.
        with data.reading():
            sums = self.multi_step(tf.constant(num_steps)).numpy().tolist()
        *totals, count, gradient_norm, updates, scale, stop = sums
        metrics = {"stop": stop}
        if updates:
            metrics |= self._means(
                dict(zip(self.objective.metrics, totals, strict=True)), count
            )
            metrics["gradient_norm"] = gradient_norm / updates
        if self.scaled:
            metrics["overflow"] = 1 - updates / num_steps
            metrics["loss_scale"] = scale / num_steps
        return metrics

    def _means(self, sums: dict[str, float], count: float) -> dict[str, float]:
        """Over the examples of each metric, of which there may be none."""
        num_labeled = sums.pop(NUM_LABELED, count)
        counts = dict.fromkeys(sums, count)
        counts |= dict.fromkeys(self.objective.labeled_metrics, num_labeled)
        return {n: total / counts[n] for n, total in sums.items() if counts[n]}


def compile_step(
    objective: Objective,
    *,
    model: keras.Model,
    update: OptimizerUpdate,
    schedule: Schedule,
    batches: Batches,
    accumulate: int,
    stop: tf.Variable,
    strategy: tf.distribute.Strategy,
    xla: bool,
    in_programs: bool,
) -> Step:
    """Core, all-reduce and update in one graph that repeats on the devices.

    `stop`, float32 [], is this worker's own and read before each step. Where batches
    come several together, for one replica with XLA, steps are `in_programs` of so many
    without an all-reduce. Tracing raises ConfigError where a trainable variable does
    not reach the loss.
    """
    compute = _compile_compute(objective, model, update, accumulate=accumulate, xla=xla)
    apply = _compile_update(objective, update, strategy, xla=xla)
    train_step, multi_step = (
        _on_replicas(compute, apply, update, schedule, strategy),
        repeat_steps,
    )
    if in_programs:
        (device,) = strategy.extended.worker_devices
        train_step = _on_one_replica(compute, apply, update, schedule)
        multi_step = functools.partial(repeat_in_programs, device=device)
    return Step(
        objective=objective,
        scaled=update.loss_scale is not None,
        compute=compute,
        multi_step=multi_step(
            train_step, iter(batches), stop, num_sums=len(objective.metrics) + 5
        ),
    )


def _on_replicas(
    compute: Compiled,
    apply: Compiled,
    update: OptimizerUpdate,
    schedule: Schedule,
    strategy: tf.distribute.Strategy,
) -> TrainStep:
    """A step of all replicas, which meet in one all-reduce."""

    def on_replica(batch: Batch, stop: tf.Tensor) -> tf.Tensor:
        step = update.iterations.value
        flat = compute(batch, step, stop)
        replica = tf.distribute.get_replica_context()
        return apply(replica.all_reduce("sum", flat), schedule(step))

    def train_step(batch: Batch, stop: tf.Tensor) -> tf.Tensor:
        results = strategy.run(on_replica, args=(batch, stop))
        # Outside the replicas, where Keras may assign a variable they share.
        update.iterations.assign_add(1)
        return strategy.experimental_local_results(results)[0]

    return train_step


def _on_one_replica(
    compute: Compiled, apply: Compiled, update: OptimizerUpdate, schedule: Schedule
) -> TrainStep:
    """A step of the only replica, all of which XLA may compile."""

    def train_step(batch: Batch, stop: tf.Tensor) -> tf.Tensor:
        # Read now: the variable has another value when the step ends.
        step = tf.identity(update.iterations.value)
        sums = apply(compute(batch, step, stop), schedule(step))
        update.iterations.assign_add(1)
        return sums

    return train_step


def _compile_compute(
    objective: Objective,
    model: keras.Model,
    update: OptimizerUpdate,
    *,
    accumulate: int,
    xla: bool,
) -> Compiled:
    """From a replica's share of the batch to its flat vector [P].

    The vector holds the sums of gradients, metrics and examples, the moving statistics,
    and the stop flag.
    """

    def sums_of(batch: Batch, step: tf.Tensor) -> list[tf.Tensor]:
        gradients, sums = objective.run(batch, step, update.scale)
        _check_gradients(gradients, update.trained, model.name)
        count = tf.cast(tf.size(batch["label"]), tf.float32)
        # The gradient of an embedding is sparse, and only dense ones can be added up.
        return [*map(tf.convert_to_tensor, gradients), sums, count]

    @tf.function(jit_compile=xla and not objective.compiles_student, autograph=False)
    def compute(batch: Batch, step: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        before = [tf.identity(variable.value) for variable in update.moving]
        sums = _accumulate(lambda part: sums_of(part, step), batch, accumulate)
        statistics = [tf.identity(variable.value) for variable in update.moving]
        # The forward pass has moved them; only the update may, on all replicas alike.
        for variable, value in zip(update.moving, before, strict=True):
            variable.assign(value)
        return flatten([*sums, *statistics, stop])

    return compute


def _accumulate(
    sums_of: Callable[[Batch], list[tf.Tensor]], batch: Batch, num_parts: int
) -> list[tf.Tensor]:
    """The sums of `sums_of` over equal parts of the batch, one in memory at a time."""
    if num_parts == 1:
        return sums_of(batch)
    parts = {
        name: tf.reshape(value, [num_parts, -1, *value.shape[1:]])
        for name, value in batch.items()
    }

    def add(i: tf.Tensor, *totals: tf.Tensor) -> list[tf.Tensor]:
        more = sums_of({name: part[i] for name, part in parts.items()})
        return [i + 1, *(total + x for total, x in zip(totals, more, strict=True))]

    first = sums_of({name: part[0] for name, part in parts.items()})
    done: list[tf.Tensor] = tf.while_loop(
        lambda i, *totals: i < num_parts, add, [tf.constant(1), *first]
    )
    return done[1:]


def _compile_update(
    objective: Objective,
    update: OptimizerUpdate,
    strategy: tf.distribute.Strategy,
    *,
    xla: bool,
) -> Compiled:
    """From the vector summed over replicas to new variables on this one.

    Gives the metric sums [K] and the example count, the norm of the mean gradient and 1
    for the update - all 0 where there was none -, the loss scale and the stop flag.
    """
    size = sum(math.prod(variable.shape) for variable in update.trained)
    statistics = [tuple(variable.shape) for variable in update.moving]
    shapes = [(size,), (len(objective.metrics),), (1,), *statistics, (1,)]

    @tf.function(jit_compile=xla, autograph=False)
    def apply(flat: tf.Tensor, learning_rate: tf.Tensor) -> tf.Tensor:
        # `count` has all examples of the global batch, those without a label too.
        gradient, sums, count, *statistics, stop = unflatten(flat, shapes)
        scale = update.scale
        norm, updated = update.apply(
            gradient / (count * scale),
            [total / strategy.num_replicas_in_sync for total in statistics],
            learning_rate,
        )
        counted = flatten([sums, count, norm, tf.ones([])])
        # No product: 0 times NaN is NaN.
        counted = tf.where(updated, counted, tf.zeros_like(counted))
        return flatten([counted, scale, stop])

    return apply


def _check_gradients(
    gradients: list[tf.Tensor | None], trained: list[keras.Variable], name: str
) -> None:
    unused = [
        variable.path
        for gradient, variable in zip(gradients, trained, strict=True)
        if gradient is None
    ]
    if unused:
        raise ConfigError(
            f"every trainable variable of model {name!r} must reach its logits, "
            f"got none from {', '.join(unused)}; remove them or make them not trainable"
        )
