"""Terms of the distillation loss, as a step computes them.

Shapes: B = examples on this replica, C = classes.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from trainer import losses
from trainer.config import ConfigError, TermConfig
from trainer.config.functions import import_function
from trainer.losses import Scalar, TeacherPredictions
from trainer.models import Adapter
from trainer.train.feature_loss import Connection, StudentOutputs, feature_loss

# A value at the step that follows so many finished ones.
Schedule = Callable[[tf.Tensor], Scalar]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Term:
    """A loss against the teacher, with its weight and its temperature at each step."""

    name: str  # of its metric
    weight: Schedule
    temperature: Schedule
    needs_labels: bool
    logs_weight: bool  # whether it is a metric too
    # From the student's outputs, what the teacher predicts, labels [B] and the
    # temperature to the loss of each example [B].
    loss: Callable[[StudentOutputs, TeacherPredictions, tf.Tensor, Scalar], tf.Tensor]
    student_layers: tuple[str, ...] = ()  # which it compares; none: it is of logits
    adapters: tuple[Adapter, ...] = ()  # which it trains

    def run(
        self,
        outputs: StudentOutputs,
        predictions: TeacherPredictions,
        labels: tf.Tensor,
        step: tf.Tensor,
    ) -> tf.Tensor:
        """The loss of each example, without the weight: [B].

        It is 0 for an example without a label, -1, where the loss needs one.
        """
        values = self.loss(outputs, predictions, labels, self.temperature(step))
        return tf.where(labels < 0, 0.0, values) if self.needs_labels else values

    def sources(self, outputs: StudentOutputs) -> list[tf.Tensor]:
        """The student's outputs that it depends on: [B, ...] each."""
        if not self.student_layers:
            return [outputs.logits]
        return [outputs.features[layer] for layer in self.student_layers]


def build_term(
    config: TermConfig,
    *,
    name: str,
    setting: str,
    num_steps: int,
    steps_per_epoch: float,
    group_size: int,
    logs_weight: bool,
    connection: Connection | None = None,
) -> Term:
    """The term of a section `setting`, for a training of so many steps.

    One between layers needs a `connection` to be run.

    Raises:
      ConfigError: a user's own function cannot be used, or the warm-up is as long as
        the training.
    """
    warmup = _warmup_steps(
        config, setting=setting, num_steps=num_steps, steps_per_epoch=steps_per_epoch
    )
    function, needs_labels = _function(config, setting=setting, group_size=group_size)
    loss = functools.partial(_loss, config, function, needs_labels)
    if connection:
        loss = functools.partial(_between_layers, config, function, connection)
    schedule = functools.partial(_schedule, config, num_steps=num_steps)
    return Term(
        name=name,
        weight=schedule(config.weight, config.final_weight, warmup_steps=warmup),
        temperature=schedule(config.temperature, config.final_temperature),
        needs_labels=needs_labels,
        logs_weight=logs_weight,
        loss=loss,
        student_layers=config.student_layers,
        adapters=tuple(filter(None, connection.adapters)) if connection else (),
    )


def _between_layers(
    config: TermConfig,
    function: Callable[..., tf.Tensor],
    connection: Connection,
    outputs: StudentOutputs,
    predictions: TeacherPredictions,
    labels: tf.Tensor,
    temperature: Scalar,
) -> tf.Tensor:
    del labels, temperature  # which are of losses of logits
    return feature_loss(config, function, connection, outputs, predictions)


def _loss(
    config: TermConfig,
    function: Callable[..., tf.Tensor],
    needs_labels: bool,
    outputs: StudentOutputs,
    predictions: TeacherPredictions,
    labels: tf.Tensor,
    temperature: Scalar,
) -> tf.Tensor:
    """Gives a loss what its row of the table says that it needs of the teacher."""
    kind = config.row.teacher
    logits, predictions = outputs.logits, predictions.of(config.member)
    if config.standardize:
        logits = losses.standardize(logits)
    if kind == "logits":
        return function(logits, predictions.logits(standardized=config.standardize))
    targets = predictions.at(temperature, standardized=config.standardize)
    if kind == "class":
        return function(logits, tf.one_hot(targets.predicted, logits.shape[-1]))
    student = targets.to_buckets(logits, temperature=temperature)
    given = (labels,) if needs_labels else ()
    return function(student, targets.logits, *given, temperature=temperature)


def _function(
    config: TermConfig, *, setting: str, group_size: int
) -> tuple[Callable[..., tf.Tensor], bool]:
    """The loss with its options, and whether it takes labels."""
    options: Mapping[str, Any]
    if not config.is_own:
        function = import_function(config.row.function, setting=f"{setting}.loss")
        options = config.row.arguments(config.options)
        if config.row.needs_groups:
            options["group_size"] = group_size
        return functools.partial(function, **options), config.row.needs_labels
    function = import_function(config.loss, setting=f"{setting}.loss")
    options = dict(config.options)
    parameters = own_parameters(function, config.loss, setting=setting)
    if "group_size" in parameters:
        if not group_size:
            raise ConfigError(
                f"{setting}.loss {config.loss!r} takes a group_size, got "
                "distill.group_size = 0; set it to a divisor of the batch, such as 8"
            )
        options["group_size"] = group_size
    if "temperature" not in parameters:
        function = _without_temperature(function)
    return functools.partial(function, **options), "labels" in parameters


def own_parameters(
    function: Callable[..., Any], name: str, *, setting: str
) -> Mapping[str, inspect.Parameter]:
    """The parameters of a user's own loss, by their names.

    Raises:
      ConfigError: it is no function whose parameters can be known.
    """
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{setting}.loss must name a function of (student_logits, teacher_logits"
            f"[, labels], *, temperature, **options), got {name!r}: {error}"
        ) from error


def _without_temperature(function: Callable[..., tf.Tensor]) -> Callable[..., Any]:
    def loss(*tensors: tf.Tensor, temperature: Scalar, **options: Any) -> tf.Tensor:
        del temperature
        return function(*tensors, **options)

    return loss


def _warmup_steps(
    config: TermConfig, *, setting: str, num_steps: int, steps_per_epoch: float
) -> int:
    name = "warmup_epochs" if config.warmup_epochs else "warmup_steps"
    steps = config.warmup_steps or round(config.warmup_epochs * steps_per_epoch)
    if steps >= num_steps:
        raise ConfigError(
            f"{setting}.{name} must end before the {num_steps} steps of the training, "
            f"got {getattr(config, name)}, which is {steps} steps; lower it or train "
            "longer"
        )
    return steps


def _schedule(
    config: TermConfig,
    first: float,
    last: float | None,
    *,
    num_steps: int,
    warmup_steps: int = 0,
) -> Schedule:
    """A value that goes from `first` to `last`, and rises from 0 before.

    Without either it is a number, which the compiled step contains.
    """
    if last is None and not warmup_steps:
        return lambda step: first

    def value(step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step, tf.float32)
        now = tf.constant(first)
        if last is not None:
            progress = tf.minimum(done / max(num_steps - 1, 1), 1.0)
            if config.schedule == "cosine":
                progress = 0.5 * (1.0 - tf.cos(math.pi * progress))
            now = first + (last - first) * progress
        # As the learning rate: the first update already has a weight.
        return now * tf.minimum((done + 1.0) / (warmup_steps + 1.0), 1.0)

    return value
