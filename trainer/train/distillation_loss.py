"""The loss of a student: terms against the teacher, and the loss on the labels.

Shapes: B = examples on this replica, C = classes.
"""

import dataclasses
import functools
import operator
from collections.abc import Mapping, Sequence

import tensorflow as tf

from trainer import losses
from trainer.losses import Labels, Scalar, TeacherPredictions
from trainer.models import Adapter
from trainer.train.feature_loss import StudentOutputs
from trainer.train.terms import Schedule, Term


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationLoss:
    """The weighted sum of the terms and of the loss on the labels.

    An example without a label has no part that needs one; one of a mixed pair has the
    losses on both labels, by their shares.
    """

    terms: Sequence[Term]
    hard_weight: float
    label_smoothing: float
    class_weights: tuple[float, ...] = ()  # of the loss on the labels; (): all 1

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts as metrics."""
        return (*(term.name for term in self.terms), "hard_loss")

    @property
    def labeled_names(self) -> tuple[str, ...]:
        """The names of the parts that need labels."""
        return (*(t.name for t in self.terms if t.needs_labels), "hard_loss")

    @property
    def student_layers(self) -> tuple[str, ...]:
        """The layers of the student that terms compare, each once."""
        every = (layer for term in self.terms for layer in term.student_layers)
        return tuple(dict.fromkeys(every))

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """The networks beside the student that are trained with it."""
        return tuple(adapter for term in self.terms for adapter in term.adapters)

    @property
    def logged_weights(self) -> Mapping[str, Schedule]:
        """The weights of terms that are metrics too, by the names of the terms."""
        return {term.name: term.weight for term in self.terms if term.logs_weight}

    def parts(
        self,
        outputs: StudentOutputs,
        predictions: TeacherPredictions,
        labels: Labels,
        step: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Each part, without its weight: [B] each."""
        soft = [term.run(outputs, predictions, labels.own, step) for term in self.terms]
        hard = labels.mean(
            lambda classes: losses.hard_loss(
                outputs.logits,
                classes,
                label_smoothing=self.label_smoothing,
                class_weights=self.class_weights,
            )
        )
        return [*soft, tf.where(labels.own < 0, 0.0, hard)]

    def total(self, parts: Sequence[tf.Tensor], step: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the parts: [B] each -> [B]."""
        # The first plus the second, and so on: sum would begin with a 0.
        return functools.reduce(operator.add, self._weighted(parts, step))

    def gradient_norms(
        self,
        outputs: StudentOutputs,
        predictions: TeacherPredictions,
        labels: Labels,
        step: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Norms of each weighted part's gradients, example by example: [B] each.

        They are to the student's logits, of terms between layers to what these layers
        give.
        """
        # Half precision would lose the small ones, and cannot be a metric.
        features = {k: tf.cast(x, tf.float32) for k, x in outputs.features.items()}
        outputs = StudentOutputs(logits=outputs.logits, features=features)
        sources = [term.sources(outputs) for term in self.terms] + [[outputs.logits]]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([outputs.logits, *features.values()])
            parts = self.parts(outputs, predictions, labels, step)
        norms = [
            _norm(tape.gradient(part, of_part))
            for part, of_part in zip(parts, sources, strict=True)
        ]
        return self._weighted(norms, step)

    def predicted(self, predictions: TeacherPredictions, step: tf.Tensor) -> tf.Tensor:
        """The teacher's class, by the first temperature: integers [B]."""
        of_logits = (term for term in self.terms if not term.student_layers)
        first = next(of_logits, None)
        return predictions.at(first.temperature(step) if first else 1.0).predicted

    def _weighted(
        self, values: Sequence[tf.Tensor], step: tf.Tensor
    ) -> list[tf.Tensor]:
        weights: list[Scalar] = [*(t.weight(step) for t in self.terms)]
        weights.append(self.hard_weight)
        return [w * value for w, value in zip(weights, values, strict=True)]


def _norm(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """The norm of all values of an example together: [B, ...] each -> [B]."""
    if len(gradients) == 1 and gradients[0].shape.rank == 2:
        return tf.norm(gradients[0], axis=-1)
    flat = [tf.reshape(g, [tf.shape(g)[0], -1]) for g in gradients]
    return tf.norm(tf.concat(flat, axis=-1), axis=-1)
