"""What a user of Keras would train instead, from the same arrays and networks."""

import dataclasses
import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.benchmarks.arrays import INPUTS, LABELS, LOGITS, tiled
from tests.benchmarks.workloads import Workload
from tests.helpers.oracle import softmax
from trainer import models
from trainer.config import Config, StudentConfig, TeacherConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two networks, and what the student learns from. M = examples, C = classes."""

    config: Config
    teacher: keras.Model
    student: keras.Model
    inputs: np.ndarray  # uint8 [M, H, W, channels]
    labels: np.ndarray  # int32 [M]
    logits: np.ndarray | None  # float32 [M, C], the teacher's where it is cached


def pair(workload: Workload, prepared: pathlib.Path, *, precision: str) -> Pair:
    """The networks of a workload, built as the trainer builds them, and its arrays."""
    config = workload.settings(prepared, precision=precision)
    num_examples = workload.num_examples
    folder = prepared / workload.name
    labels = np.load(folder / LABELS)
    inputs = np.load(folder / INPUTS)

    def built(section: TeacherConfig | StudentConfig, role: str) -> keras.Model:
        model = models.build(
            section.model,
            section.options,
            inputs=models.Inputs(shape=inputs.shape[1:]),
            num_classes=workload.num_classes,
            seed=0,
            precision=precision,
            setting=role,
        )
        return keras.models.clone_model(model, clone_function=_plain)

    (teacher,) = config.teachers.values()
    logits = np.load(folder / LOGITS) if workload.cached else None
    return Pair(
        config=config,
        teacher=built(teacher, "teacher"),
        student=built(config.student, "student"),
        inputs=tiled(inputs, num_examples),
        labels=tiled(labels, num_examples),
        logits=None if logits is None else tiled(logits, num_examples),
    )


def distiller(pair: Pair, **compiling: Any) -> keras.Model:
    """Keras's own, with the loss that computes what its documentation says."""
    distill = pair.config.distill
    model = keras.distillation.Distiller(
        pair.teacher,
        pair.student,
        keras.distillation.LogitsDistillation(
            temperature=distill.temperature, loss=keras.losses.KLDivergence()
        ),
        student_loss_weight=1 - distill.alpha,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
        **compiling,
    )
    return model


def soft_target_student(pair: Pair, **compiling: Any) -> keras.Model:
    """The student alone, for a plain fit on `soft_targets_and_labels`."""
    distill = pair.config.distill
    temperature, alpha = distill.temperature, distill.alpha
    divergence = keras.losses.KLDivergence(reduction=None)

    def loss(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        probs = keras.ops.softmax(logits / temperature)
        soft = temperature**2 * divergence(targets[:, :-1], probs)
        labels = keras.ops.cast(targets[:, -1], "int32")
        hard = keras.ops.sparse_categorical_crossentropy(
            labels, logits, from_logits=True
        )
        return alpha * soft + (1 - alpha) * hard

    def accuracy(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return keras.metrics.sparse_categorical_accuracy(targets[:, -1], logits)

    model = pair.student
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=loss,
        metrics=[accuracy],
        **compiling,
    )
    return model


def soft_targets_and_labels(pair: Pair) -> np.ndarray:
    """What a plain fit learns from: probabilities at T and the label, [M, C + 1]."""
    if pair.logits is None:
        raise ValueError("the teacher must have answered on disk, got no logits")
    return join(pair, pair.logits, pair.labels)


def join(pair: Pair, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The same of any logits [M, C] and labels [M]."""
    probs = softmax(logits, pair.config.distill.temperature)
    return np.hstack([probs, labels[:, np.newaxis]]).astype(np.float32)


class ExampleDistiller(keras.Model):
    """The custom train_step of the Keras example on knowledge distillation."""

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.student = pair.student
        self.teacher = pair.teacher
        self.teacher.trainable = False
        self.temperature = pair.config.distill.temperature
        self.alpha = 1 - pair.config.distill.alpha
        self.student_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.divergence = keras.losses.KLDivergence()
        self.compile(
            optimizer=keras.optimizers.Adam(),
            metrics=[keras.metrics.SparseCategoricalAccuracy()],
        )

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.student(x, training=training)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        x, y = data
        teacher_logits = self.teacher(x, training=False)
        with tf.GradientTape() as tape:
            logits = self(x, training=True)
            soft = self.divergence(
                tf.nn.softmax(teacher_logits / self.temperature, axis=1),
                tf.nn.softmax(logits / self.temperature, axis=1),
            )
            loss = self.alpha * self.student_loss(y, logits)
            loss += (1 - self.alpha) * self.temperature**2 * soft
        trained = self.student.trainable_variables
        gradients = tape.gradient(loss, trained)
        self.optimizer.apply_gradients(zip(gradients, trained, strict=True))
        return self.compute_metrics(x, y, logits)


def _plain(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Keras's dropout in place of the trainer's, which needs the trainer's step."""
    if isinstance(layer, models.Dropout):
        return keras.layers.Dropout(layer.rate, name=layer.name)
    return type(layer).from_config(layer.get_config())
