"""The loss of a student: terms against the teacher, and the loss on the labels.

Shapes: B = examples on this replica, C = classes.
"""

import dataclasses
import functools
import operator
from collections.abc import Mapping, Sequence

import tensorflow as tf

from trainer import losses
from trainer.losses import Scalar, TeacherPredictions
from trainer.train.terms import Schedule, Term


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationLoss:
    """The weighted sum of the terms and of the loss on the labels.

    An example without a label, -1, has no part that needs one.
    """

    terms: Sequence[Term]
    hard_weight: float
    label_smoothing: float

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts as metrics."""
        return (*(term.name for term in self.terms), "hard_loss")

    @property
    def labeled_names(self) -> tuple[str, ...]:
        """The names of the parts that need labels."""
        return (*(t.name for t in self.terms if t.needs_labels), "hard_loss")

    @property
    def logged_weights(self) -> Mapping[str, Schedule]:
        """The weights of terms that are metrics too, by the names of the terms."""
        return {term.name: term.weight for term in self.terms if term.logs_weight}

    def parts(
        self,
        logits: tf.Tensor,
        predictions: TeacherPredictions,
        labels: tf.Tensor,
        step: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Each part, without its weight: [B, C], ..., integers [B] -> [B] each."""
        soft = [term.run(logits, predictions, labels, step) for term in self.terms]
        hard = losses.hard_loss(logits, labels, label_smoothing=self.label_smoothing)
        return [*soft, tf.where(labels < 0, 0.0, hard)]

    def total(self, parts: Sequence[tf.Tensor], step: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the parts: [B] each -> [B]."""
        # The first plus the second, and so on: sum would begin with a 0.
        return functools.reduce(operator.add, self._weighted(parts, step))

    def gradient_norms(
        self,
        logits: tf.Tensor,
        predictions: TeacherPredictions,
        labels: tf.Tensor,
        step: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Norms of each weighted part's gradients to an example's logits: [B] each."""
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(logits)
            parts = self.parts(logits, predictions, labels, step)
        norms = [tf.norm(tape.gradient(part, logits), axis=-1) for part in parts]
        return self._weighted(norms, step)

    def predicted(self, predictions: TeacherPredictions, step: tf.Tensor) -> tf.Tensor:
        """The teacher's class, by the first term's temperature: integers [B]."""
        return predictions.at(self.terms[0].temperature(step)).predicted

    def _weighted(
        self, values: Sequence[tf.Tensor], step: tf.Tensor
    ) -> list[tf.Tensor]:
        weights: list[Scalar] = [*(t.weight(step) for t in self.terms)]
        weights.append(self.hard_weight)
        return [w * value for w, value in zip(weights, values, strict=True)]
