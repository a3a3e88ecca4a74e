"""Losses between layers of the student and of a teacher, as a step computes them.

Shapes: B = examples on this replica; places stand between B and the channels.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from trainer.config import TermConfig
from trainer.losses import Member, TeacherPredictions, average_places, match_places
from trainer.models import Adapter


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudentOutputs:
    """The outputs of one forward pass of the student."""

    logits: tf.Tensor  # float32 [B, C]
    features: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Connection:
    """The networks between the layers that a term compares."""

    adapters: Sequence[Adapter | None]  # one for each pair of layers
    # From values like the teacher's embedding to its logits; of losses that need it.
    classify: Callable[[tf.Tensor], tf.Tensor] | None = None

    def beside(
        self, student: tf.Tensor, member: Member, adapter: Adapter | None, *, kind: str
    ) -> dict[str, Any]:
        """The arguments of a loss that needs more than the values of both layers."""
        if kind == "variance" and adapter:
            return {"variance": adapter.variance}
        if kind == "classifier" and self.classify:
            return {
                "student_logits": self.classify(student),
                "teacher_logits": member.at(1.0).logits,
            }
        return {}


def feature_loss(
    config: TermConfig,
    function: Callable[..., tf.Tensor],
    connection: Connection,
    outputs: StudentOutputs,
    predictions: TeacherPredictions,
) -> tf.Tensor:
    """The loss of each example, summed over the pairs of layers: [B]."""
    (member,) = predictions.of(config.member).members
    values = []
    for student_layer, teacher_layer, adapter in zip(
        config.student_layers, config.teacher_layers, connection.adapters, strict=True
    ):
        student, teacher = bring_together(
            outputs.features[student_layer],
            member.features[teacher_layer],
            kind=config.row.features,
        )
        if adapter:
            student = adapter(student, training=True)
        more = connection.beside(student, member, adapter, kind=config.row.beside)
        values.append(function(student, teacher, **more))
    return functools.reduce(operator.add, values)


def bring_together(
    student: tf.Tensor, teacher: tf.Tensor, *, kind: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """The values of two layers as a loss sees them, but for their channels.

    `kind` is the row's `features` in trainer.config.losses.
    """
    if kind == "any":
        return student, teacher
    if kind == "vector" or 2 in (student.shape.rank, teacher.shape.rank):
        return average_places(student), average_places(teacher)
    return match_places(student, teacher)
