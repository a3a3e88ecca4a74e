"""The part of a step that one replica computes: losses, their gradients, metrics.

Shapes: B = examples on this replica, C = classes, K = metrics.
"""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from trainer import losses, models, prng
from trainer.data import Batch
from trainer.data.mixup import mix

LABELED = "labeled"

# What a teacher says of a batch; see trainer.soft_targets.
TeacherSignal = Callable[[Batch], losses.SoftTargets]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """The part of one step that a replica computes, before anything is communicated.

    `run(batch, step, scale)` gives the gradients of the summed loss times `scale`, and
    the sums [K] of the per-example metrics named by `metrics`. Where LABELED is one of
    them, it counts the examples that have a label, of which alone are the sums in
    `of_labeled`.
    """

    run: Callable[[Batch, tf.Tensor, tf.Tensor], tuple[list[tf.Tensor], tf.Tensor]]
    metrics: tuple[str, ...]
    of_labeled: tuple[str, ...] = ()


def distillation(
    student: keras.Model,
    teacher_signal: TeacherSignal,
    *,
    alpha: float,
    temperature: float,
    label_smoothing: float,
    mixup: float,
    seed: int,
) -> Objective:
    """The student learns from the teacher's soft targets and from the labels.

    What has no label, -1, has no hard loss. With `mixup`, the share of pairs that are
    mixed, no example has a label.
    """

    def run(
        batch: Batch, step: tf.Tensor, scale: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        if mixup:
            batch = _mix(batch, step, share=mixup, seed=seed)
        targets = teacher_signal(batch)
        with tf.GradientTape() as tape:
            logits = _training_logits(student, batch, step, seed)
            soft = _soft_loss(logits, targets, temperature)
            hard = _hard_loss(logits, batch["label"], label_smoothing)
            loss = losses.total_loss(soft, hard, alpha=alpha) + _penalty(student)
            scaled = scale * loss
        gradients = tape.gradient(scaled, student.trainable_variables)
        agreement = _hits(logits, targets.predicted)
        accuracy = _hits(logits, batch["label"])
        labeled = tf.cast(batch["label"] >= 0, tf.float32)
        return gradients, _sums(loss, soft, hard, accuracy, agreement, labeled)

    metrics = ("loss", "soft_loss", "hard_loss", "accuracy", "agreement", LABELED)
    return Objective(run=run, metrics=metrics, of_labeled=("hard_loss", "accuracy"))


def supervised(model: keras.Model, *, label_smoothing: float, seed: int) -> Objective:
    """The model learns from the labels alone: a teacher, or a student's baseline."""

    def run(
        batch: Batch, step: tf.Tensor, scale: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = _training_logits(model, batch, step, seed)
            loss = _penalty(model) + losses.hard_loss(
                logits, batch["label"], label_smoothing=label_smoothing
            )
            scaled = scale * loss
        gradients = tape.gradient(scaled, model.trainable_variables)
        return gradients, _sums(loss, _hits(logits, batch["label"]))

    return Objective(run=run, metrics=("loss", "accuracy"))


def _mix(batch: Batch, step: tf.Tensor, *, share: float, seed: int) -> Batch:
    """Mixes inputs in pairs, for teacher and student; mixed images have no label."""
    inputs = mix(batch["input"], batch["batch_position"], step, share=share, seed=seed)
    return batch | {"input": inputs, "label": tf.fill(tf.shape(batch["label"]), -1)}


def _soft_loss(
    logits: tf.Tensor, targets: losses.SoftTargets, temperature: float
) -> tf.Tensor:
    buckets = targets.buckets_of(logits, temperature=temperature)
    return losses.soft_loss(buckets, targets.logits, temperature=temperature)


def _hard_loss(
    logits: tf.Tensor, labels: tf.Tensor, label_smoothing: float
) -> tf.Tensor:
    """The loss against the labels; 0 where there is none."""
    hard = losses.hard_loss(logits, labels, label_smoothing=label_smoothing)
    return tf.where(labels < 0, 0.0, hard)


def _training_logits(
    model: keras.Model, batch: Batch, step: tf.Tensor, seed: int
) -> tf.Tensor:
    with models.dropout_keys(prng.key(seed, step, batch["batch_position"])):
        return tf.cast(model(batch["input"], training=True), tf.float32)


def _penalty(model: keras.Model) -> tf.Tensor | float:
    """The losses of the model's own regularizers, added to each example's loss."""
    return sum((tf.cast(loss, tf.float32) for loss in model.losses), 0.0)


def _hits(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.cast(predicted == tf.cast(classes, tf.int32), tf.float32)


def _sums(*per_example: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.stack(per_example), axis=1)
