"""The training step: XLA computes, tf.distribute communicates, XLA updates.

On each replica a compiled core turns its share of the global batch into one flat
float32 vector: the sums of gradients, BatchNorm statistics and metrics. One all-reduce
adds the vectors up, outside XLA, and a compiled update moves the replica's own copy of
every variable. All copies see the same sums, so they stay equal bit for bit.

Shapes: B = examples on this replica, C = classes, P = length of the flat vector,
K = metrics.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import TypeAlias

import keras
import tensorflow as tf

from trainer import losses, models, noise
from trainer.config import ConfigError
from trainer.data import Batch, Batches
from trainer.optimizers import Schedule

TeacherSignal = Callable[[Batch], tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Core:
    """What one replica computes of one step, before anything is communicated.

    `run(batch, step)` gives the gradients of the summed loss and the sums [K] of the
    per-example metrics named by `metrics`.
    """

    run: Callable[[Batch, tf.Tensor], tuple[list[tf.Tensor], tf.Tensor]]
    metrics: tuple[str, ...]


def distillation_core(
    student: keras.Model,
    teacher_signal: TeacherSignal,
    *,
    alpha: float,
    temperature: float,
    seed: int,
) -> Core:
    """The student learns from the teacher's soft targets and from the labels."""

    def run(batch: Batch, step: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        teacher_logits = teacher_signal(batch)
        with tf.GradientTape() as tape:
            student_logits = _training_logits(student, batch, step, seed)
            soft = losses.soft_loss(
                student_logits, teacher_logits, temperature=temperature
            )
            hard = losses.hard_loss(student_logits, batch["label"])
            loss = losses.total_loss(soft, hard, alpha=alpha) + _penalty(student)
        gradients = tape.gradient(loss, student.trainable_variables)
        agreement = _hits(student_logits, tf.argmax(teacher_logits, axis=-1))
        accuracy = _hits(student_logits, batch["label"])
        return gradients, _sums(loss, soft, hard, accuracy, agreement)

    metrics = ("loss", "soft_loss", "hard_loss", "accuracy", "agreement")
    return Core(run=run, metrics=metrics)


def supervised_core(model: keras.Model, *, seed: int) -> Core:
    """The model learns from the labels alone: a teacher, or a student's baseline."""

    def run(batch: Batch, step: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = _training_logits(model, batch, step, seed)
            loss = losses.hard_loss(logits, batch["label"]) + _penalty(model)
        gradients = tape.gradient(loss, model.trainable_variables)
        return gradients, _sums(loss, _hits(logits, batch["label"]))

    return Core(run=run, metrics=("loss", "accuracy"))


# A compiled function of tensors, which knows its traces and graph.
Compiled: TypeAlias = tf.types.experimental.PolymorphicFunction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A compiled training step that repeats over endless batches."""

    metrics: tuple[str, ...]
    compute: Compiled  # one replica's part before the all-reduce: one trace a replica
    repeat: Compiled  # int32 [] steps to float64 [K + 2] sums

    def run(self, num_steps: int) -> dict[str, float]:
        """Takes `num_steps` steps; gives each metric's mean over their examples.

        A mean is not finite as soon as one of its values is not.
        """
        # A tensor, not a number: a number would trace anew for each length.
        sums = self.repeat(tf.constant(num_steps)).numpy().tolist()
        *totals, gradient_norm, count = sums
        means = [total / count for total in totals]
        return dict(zip(self.metrics, means, strict=True)) | {
            "gradient_norm": gradient_norm / num_steps
        }


def compile_step(
    core: Core,
    *,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    schedule: Schedule,
    batches: Batches,
    strategy: tf.distribute.Strategy,
    xla: bool,
) -> Step:
    """Puts core, all-reduce and update into one graph that repeats on the devices.

    Raises:
      ConfigError: when tracing, a trainable variable does not reach the loss.
    """
    compute = _compile_compute(core, model, xla=xla)
    update = _compile_update(core, model, optimizer, strategy, xla=xla)
    iterator = iter(batches)

    def on_replica(batch: Batch) -> tf.Tensor:
        step = optimizer.iterations.value
        flat = compute(batch, step)
        replica = tf.distribute.get_replica_context()
        return update(replica.all_reduce("sum", flat), schedule(step))

    def one_step(done: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        results = strategy.run(on_replica, args=(next(iterator),))
        # Outside the replicas, where Keras may assign a variable they share.
        optimizer.iterations.assign_add(1)
        result = strategy.experimental_local_results(results)[0]
        return done + 1, sums + tf.cast(result, tf.float64)

    @tf.function(autograph=False)
    def repeat(num_steps: tf.Tensor) -> tf.Tensor:
        nothing = tf.zeros([len(core.metrics) + 2], tf.float64)
        return tf.while_loop(
            lambda done, _: done < num_steps, one_step, (tf.constant(0), nothing)
        )[1]

    return Step(metrics=core.metrics, compute=compute, repeat=repeat)


def _compile_compute(core: Core, model: keras.Model, *, xla: bool) -> Compiled:
    """From a replica's share of the batch to its flat vector [P].

    The vector holds the sums of gradients, moving statistics, metrics and examples.
    """
    moving = _moving_statistics(model)

    @tf.function(jit_compile=xla, autograph=False)
    def compute(batch: Batch, step: tf.Tensor) -> tf.Tensor:
        gradients, sums = core.run(batch, step)
        _check_gradients(gradients, model)
        statistics = [variable.value for variable in moving]
        count = tf.cast(tf.size(batch["label"]), tf.float32)
        parts = [*gradients, *statistics, sums, count]
        return tf.concat([tf.reshape(tf.cast(p, tf.float32), [-1]) for p in parts], 0)

    return compute


def _compile_update(
    core: Core,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    strategy: tf.distribute.Strategy,
    *,
    xla: bool,
) -> Compiled:
    """From the vector summed over replicas to new variables on this one.

    Gives the metric sums [K], the norm of the mean gradient and the example count.
    """
    trained, moving = model.trainable_variables, _moving_statistics(model)
    shapes = [tuple(variable.shape) for variable in (*trained, *moving)]
    shapes += [(len(core.metrics),), (1,)]

    @tf.function(jit_compile=xla, autograph=False)
    def update(flat: tf.Tensor, learning_rate: tf.Tensor) -> tf.Tensor:
        *parts, sums, count = (
            tf.reshape(part, shape)
            for part, shape in zip(
                tf.split(flat, [math.prod(shape) for shape in shapes]),
                shapes,
                strict=True,
            )
        )
        gradients = [part / count for part in parts[: len(trained)]]
        for gradient, variable in zip(gradients, trained, strict=True):
            optimizer.update_step(gradient, variable, learning_rate)
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        for total, variable in zip(parts[len(trained) :], moving, strict=True):
            variable.assign(total / strategy.num_replicas_in_sync)
        norm = tf.reshape(tf.linalg.global_norm(gradients), [1])
        return tf.concat([sums, norm, count], axis=0)

    return update


def _training_logits(
    model: keras.Model, batch: Batch, step: tf.Tensor, seed: int
) -> tf.Tensor:
    with models.dropout_keys(noise.key(seed, step, batch["slot"])):
        return tf.cast(model(batch["input"], training=True), tf.float32)


def _penalty(model: keras.Model) -> tf.Tensor | float:
    """What the model's own regularizers add to the loss of each example."""
    return tf.add_n(model.losses) if model.losses else 0.0


def _hits(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.cast(predicted == tf.cast(classes, tf.int32), tf.float32)


def _sums(*per_example: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.stack(per_example), axis=1)


def _moving_statistics(model: keras.Model) -> list[keras.Variable]:
    """BatchNorm's averages, which Keras keeps on each replica for itself."""
    return [
        variable
        for variable in model.non_trainable_variables
        if variable.path.endswith(("moving_mean", "moving_variance"))
    ]


def _check_gradients(gradients: list[tf.Tensor | None], model: keras.Model) -> None:
    unused = [
        variable.path
        for gradient, variable in zip(gradients, model.trainable_variables, strict=True)
        if gradient is None
    ]
    if unused:
        raise ConfigError(
            f"every trainable variable of model {model.name!r} must reach its logits, "
            f"got none from {', '.join(unused)}; remove them or make them not trainable"
        )
