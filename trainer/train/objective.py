"""The part of a step that one replica computes: losses, their gradients, metrics.

Shapes: B = examples on this replica, C = classes, K = metrics.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import keras
import tensorflow as tf

from trainer import losses, models, prng
from trainer.config import MixConfig, TrainConfig
from trainer.data import Batch
from trainer.data.mixing import mix, partners
from trainer.devices.compiled_part import call_part
from trainer.losses import Labels, TeacherPredictions
from trainer.optimizers import trained_variables
from trainer.train.distillation_loss import DistillationLoss
from trainer.train.feature_loss import StudentOutputs
from trainer.train.terms import Schedule

NUM_LABELED = "labeled"
_OF_LOGITS = ("accuracy", "agreement", NUM_LABELED)

# From a batch to what the teacher predicts of it; see trainer.soft_targets.
TeacherSignal: TypeAlias = Callable[[Batch], TeacherPredictions]

# The gradient of each trainable variable, and the sums of the metrics: float32 [K].
Sums: TypeAlias = tuple[list[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """The part of one step that a replica computes, before anything is communicated.

    `run(batch, step, scale)` gives the gradients of the summed loss times `scale`, and
    the sums [K] of the per-example metrics named by `metrics`. Where NUM_LABELED is one
    of them, it counts the examples that have a label, and the sums of `labeled_metrics`
    are over these alone.
    """

    run: Callable[[Batch, tf.Tensor, tf.Tensor], Sums]
    metrics: tuple[str, ...]
    labeled_metrics: tuple[str, ...] = ()
    # Of the terms of the loss that change from step to step, to be logged.
    weights: Mapping[str, Schedule] = dataclasses.field(default_factory=dict)
    adapters: tuple[models.Adapter, ...] = ()  # which are trained beside the model
    # Whether XLA compiles the student's part of `run` apart, and so not all of it.
    compiles_student: bool = False


def distillation(
    student: keras.Model,
    signal: TeacherSignal,
    loss: DistillationLoss,
    *,
    mixing: MixConfig,
    seed: int,
    term_gradients: bool = False,
    compiles_student: bool = False,
) -> Objective:
    """The student, with the loss's adapters, learns by `loss` and its own regularizers.

    The teacher is asked of the pairs that `mixing` mixes; what that does to labels is
    the section's to say. With `term_gradients` the norm of each part's gradient is a
    metric.
    """
    learn = _learner(student, loss, seed=seed, term_gradients=term_gradients)

    def run(batch: Batch, step: tf.Tensor, scale: tf.Tensor) -> Sums:
        batch, labels = _mix(batch, step, mixing, seed=seed)
        predictions = signal(batch)
        return call_part(
            lambda: learn(batch, labels, predictions, step, scale),
            xla=compiles_student,
        )

    norms = [f"{name}_gradient" for name in loss.names] if term_gradients else []
    return Objective(
        run=run,
        metrics=("loss", *loss.names, *_OF_LOGITS, *norms),
        labeled_metrics=(*loss.labeled_names, "accuracy"),
        weights=loss.logged_weights,
        adapters=loss.adapters,
        compiles_student=compiles_student,
    )


def _learner(
    student: keras.Model, loss: DistillationLoss, *, seed: int, term_gradients: bool
) -> Callable[[Batch, Labels, TeacherPredictions, tf.Tensor, tf.Tensor], Sums]:
    """The student's part of a step, with what the teacher predicts of the batch."""
    taps = models.find_taps(student, loss.student_layers, setting="student_layer")

    def learn(
        batch: Batch,
        labels: Labels,
        predictions: TeacherPredictions,
        step: tf.Tensor,
        scale: tf.Tensor,
    ) -> Sums:
        with tf.GradientTape() as tape:
            outputs = _training_outputs(student, batch, step, seed, taps)
            parts = loss.parts(outputs, predictions, labels, step)
            total = loss.total(parts, step) + _regularization_loss(student)
            scaled = scale * total
        gradients = tape.gradient(scaled, trained_variables(student, loss.adapters))
        predicted = loss.predicted(predictions, step)
        values = [total, *parts, *_of_logits(outputs.logits, labels, predicted)]
        if term_gradients:
            values += loss.gradient_norms(outputs, predictions, labels, step)
        return gradients, _sums(*values)

    return learn


def supervised(
    model: keras.Model,
    section: TrainConfig,
    *,
    seed: int,
    class_weights: Sequence[float] = (),
) -> Objective:
    """The model learns from the labels alone: a teacher, or a student's baseline.

    The `class_weights` are those of trainer.losses.hard_loss.
    """

    def run(batch: Batch, step: tf.Tensor, scale: tf.Tensor) -> Sums:
        batch, labels = _mix(batch, step, section, seed=seed)
        with tf.GradientTape() as tape:
            logits = _training_outputs(model, batch, step, seed, {}).logits
            loss = _regularization_loss(model) + labels.mean(
                lambda classes: losses.hard_loss(
                    logits,
                    classes,
                    label_smoothing=section.label_smoothing,
                    class_weights=class_weights,
                )
            )
            scaled = scale * loss
        gradients = tape.gradient(scaled, model.trainable_variables)
        return gradients, _sums(loss, _accuracy(logits, labels))

    return Objective(run=run, metrics=("loss", "accuracy"))


def _mix(
    batch: Batch, step: tf.Tensor, mixing: MixConfig, *, seed: int
) -> tuple[Batch, Labels]:
    """Mixes the batch in pairs, where the section does, and gives its labels.

    Where it mixes labels too, an example that is mixed with one without has none.
    """
    own = batch["label"]
    if not mixing.mixes:
        return batch, Labels(own=own)
    inputs, share = mix(
        batch["input"], batch["batch_position"], step, mixing=mixing, seed=seed
    )
    partner, none = partners(own), tf.fill(tf.shape(own), -1)
    is_lost = (share < 1.0) & ((own < 0) | (partner < 0))
    labels = Labels(own=none)
    if mixing.mixes_labels:
        labels = Labels(
            own=tf.where(is_lost, none, own),
            mixed_with=(tf.where(is_lost, none, partner), share),
        )
    return batch | {"input": inputs, "label": labels.own}, labels


def _training_outputs(
    model: keras.Model,
    batch: Batch,
    step: tf.Tensor,
    seed: int,
    taps: Mapping[str, models.Tap],
) -> StudentOutputs:
    with models.dropout_keys(prng.key(seed, step, batch["batch_position"])):
        logits, features = models.call_tapped(
            model, batch["input"], training=True, taps=taps
        )
    return StudentOutputs(logits=tf.cast(logits, tf.float32), features=features)


def _regularization_loss(model: keras.Model) -> tf.Tensor | float:
    """The losses of the model's own regularizers, added to each example's loss."""
    return sum((tf.cast(loss, tf.float32) for loss in model.losses), 0.0)


def _of_logits(
    logits: tf.Tensor, labels: Labels, predicted: tf.Tensor
) -> list[tf.Tensor]:
    """The metrics _OF_LOGITS against labels and the teacher's classes: [B] each."""
    return [
        _accuracy(logits, labels),
        _is_correct(logits, predicted),
        tf.cast(labels.own >= 0, tf.float32),
    ]


def _accuracy(logits: tf.Tensor, labels: Labels) -> tf.Tensor:
    """Whether the class is the label, or the share of the label that it is: [B]."""
    return labels.mean(lambda classes: _is_correct(logits, classes))


def _is_correct(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.cast(predicted == tf.cast(classes, tf.int32), tf.float32)


def _sums(*per_example: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.stack(per_example), axis=1)
