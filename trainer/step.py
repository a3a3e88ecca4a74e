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
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from trainer import losses, models, noise
from trainer.config import ConfigError

Batch = dict[str, tf.Tensor]
TeacherSignal = Callable[[Batch], tf.Tensor]
Schedule = Callable[[tf.Tensor], tf.Tensor]

# Appended to the metrics of every core by its step.
_COUNT, _GRADIENT_NORM = "examples", "gradient_norm"


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
            loss = losses.total_loss(soft, hard, alpha=alpha)
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
            loss = losses.hard_loss(logits, batch["label"])
        gradients = tape.gradient(loss, model.trainable_variables)
        return gradients, _sums(loss, _hits(logits, batch["label"]))

    return Core(run=run, metrics=("loss", "accuracy"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A compiled training step over an endless distributed dataset.

    `run(num_steps)` takes that many steps and gives, for each name in `metrics`, its
    mean over their examples; a mean is not finite as soon as one of its values is not.
    `traces()` counts the traces of the core: one a replica, however many steps ran.
    """

    run: Callable[[int], dict[str, float]]
    traces: Callable[[], int]


def compile_step(
    core: Core,
    *,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    schedule: Schedule,
    dataset: Iterable[Batch],
    strategy: tf.distribute.Strategy,
    xla: bool,
) -> Step:
    """Puts core, all-reduce and update into one graph that repeats on the devices.

    Raises:
      ConfigError: when tracing, a trainable variable does not reach the loss.
    """
    names = (*core.metrics, _COUNT)
    moving = _moving_statistics(model)
    shapes = [v.shape for v in (*model.trainable_variables, *moving)] + [(len(names),)]

    @tf.function(jit_compile=xla, autograph=False)
    def compute(batch: Batch, step: tf.Tensor) -> tf.Tensor:
        gradients, sums = core.run(batch, step)
        _check_gradients(gradients, model)
        count = tf.cast(tf.size(batch["label"]), tf.float32)
        return _flatten([*gradients, *(v.value for v in moving), sums, [count]])

    @tf.function(jit_compile=xla, autograph=False)
    def update(flat: tf.Tensor, learning_rate: tf.Tensor) -> tf.Tensor:
        *parts, sums = _unflatten(flat, shapes)
        gradients = [part / sums[-1] for part in parts[: len(parts) - len(moving)]]
        for gradient, variable in zip(
            gradients, model.trainable_variables, strict=True
        ):
            optimizer.update_step(gradient, variable, learning_rate)
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        for total, variable in zip(parts[len(gradients) :], moving, strict=True):
            variable.assign(total / strategy.num_replicas_in_sync)
        return tf.concat([sums, [tf.linalg.global_norm(gradients) * sums[-1]]], axis=0)

    @tf.autograph.experimental.do_not_convert
    def replica_step(batch: Batch) -> tf.Tensor:
        step = optimizer.iterations.value
        flat = compute(batch, step)
        replica = tf.distribute.get_replica_context()
        flat = replica.all_reduce(tf.distribute.ReduceOp.SUM, flat)
        return update(flat, schedule(step))

    @tf.autograph.experimental.do_not_convert
    def step_on_all_replicas(batch: Batch) -> tf.Tensor:
        sums = strategy.run(replica_step, args=(batch,))
        # Outside the replicas, where Keras may assign a variable they share.
        optimizer.iterations.assign_add(1)
        return tf.cast(strategy.experimental_local_results(sums)[0], tf.float64)

    batches = iter(dataset)

    @tf.function
    def steps(num_steps: tf.Tensor) -> tf.Tensor:
        sums = tf.zeros([len(names) + 1], tf.float64)
        for _ in tf.range(num_steps):
            sums += step_on_all_replicas(next(batches))
        return sums

    def run(num_steps: int) -> dict[str, float]:
        # A tensor, not a number: a number would trace anew for each length.
        sums = steps(tf.constant(num_steps, tf.int32)).numpy()
        totals = dict(zip((*names, _GRADIENT_NORM), sums.tolist(), strict=True))
        count = totals.pop(_COUNT)
        return {name: total / count for name, total in totals.items()}

    return Step(run=run, traces=compute.experimental_get_tracing_count)


def _training_logits(
    model: keras.Model, batch: Batch, step: tf.Tensor, seed: int
) -> tf.Tensor:
    with models.dropout_keys(noise.key(seed, step, batch["slot"])):
        return tf.cast(model(batch["image"], training=True), tf.float32)


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


def _flatten(tensors: list[tf.Tensor]) -> tf.Tensor:
    return tf.concat(
        [tf.reshape(tf.cast(t, tf.float32), [-1]) for t in tensors], axis=0
    )


def _unflatten(flat: tf.Tensor, shapes: list[tuple[int, ...]]) -> list[tf.Tensor]:
    parts = tf.split(flat, [math.prod(shape) for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
