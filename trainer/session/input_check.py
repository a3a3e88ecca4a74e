"""Whether a teacher predicts better where its images have other values.

Shapes: K = images that are asked, C = classes.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import models
from trainer.config import MemoryOptions
from trainer.evaluation import metrics
from trainer.session.networks import Networks

NUM_IMAGES = 128  # of the validation split; more would take time
_FEWER = 4  # times fewer, asked first: most ranges are far worse on these
_CHANCE = 3  # images of those that another value may be right on less by chance
_MORE = 10  # images that another value has to be right on more
_ERRORS = 3  # standard errors of that number
# Of the cross-entropy of equal probabilities: above the first share they say nothing.
_NOTHING, _MUCH = 0.9, 0.5
# A model may refuse values that it does not expect; nothing is lost by not asking it.
_NOT_ASKED = (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Predictions of some images, beside their labels."""

    is_right: np.ndarray  # bool [K]
    cross_entropy: np.ndarray  # nats [K]

    @classmethod
    def of(cls, logits: np.ndarray, labels: np.ndarray) -> "Answers":
        """The answers of logits [K, C], beside labels [K]."""
        is_right = logits.argmax(axis=1) == labels
        # Values that a model has not learned from may overflow in it.
        with np.errstate(invalid="ignore", over="ignore"):
            losses = metrics.cross_entropies(logits, labels)
        return cls(is_right=is_right, cross_entropy=losses)

    @property
    def text(self) -> str:
        """The share that is right, and the cross-entropy."""
        share, loss = self.is_right.mean(), self.cross_entropy.mean()
        return f"{100 * share:.1f} % (cross-entropy {loss:.2f})"


def input_warning(
    networks: Networks, role: str, *, model: keras.Model, logits: np.ndarray
) -> str:
    """A warning on other values of images that suit a teacher better; "" where none.

    `logits` [M, C] are what its `model` says of the validation split. All workers call
    it together.
    """
    options = networks.config.teachers[role].options
    class_map = networks.class_map(role)
    validation = networks.datasets.validation
    rows = evenly(len(validation))
    labels = validation.labels[rows]
    num_classes = len(networks.datasets.source.class_names)
    now = Answers.of(metrics.map_logits(logits[rows], class_map), labels)
    # None could be right on so many more.
    if (~now.is_right).sum() < _MORE and not says_nothing(now, num_classes):
        return ""
    scope = networks.devices.strategy.scope()
    if isinstance(options, MemoryOptions):
        # What was built of it for these images would round others as they are.
        model, scope = networks.given.models[role].source, contextlib.nullcontext()
    others = models.other_values(model, options, networks.inputs(role))
    if not others:
        return ""
    images = validation.read(rows)

    def ask(values: str, part: slice) -> Answers:
        given = models.predict_as(values, model, options, images[part])
        return Answers.of(metrics.map_logits(given, class_map), labels[part])

    with scope:
        asked = {name: _ask(ask, name, now) for name in others}
    better = {
        name: then
        for name, then in asked.items()
        if then and is_better(now, then, num_classes)
    }
    return _told(role, options, now, better) if better else ""


def _told(role: str, options: Any, now: Answers, better: dict[str, Answers]) -> str:
    # Logits that are too large are right as often, and say nothing but the class.
    best = min(better, key=lambda name: better[name].cross_entropy.mean())
    then = better[best]
    num_images = len(then.is_right)
    suits = f"it would be right on {then.text} of {num_images} validation images"
    if isinstance(options, MemoryOptions):
        return (
            f"warning: {role} gets the images as they are; with the values {best!r} "
            f"{suits}, instead of {now.text}; let it begin with a layer that makes "
            "such values, unless it was trained on these"
        )
    return (
        f"warning: with {role}.options.input = {best!r} {suits}, instead of "
        f"{now.text} with {options.input!r}; set it, unless the model was trained on "
        "such images"
    )


def evenly(num_examples: int) -> np.ndarray:
    """The rows of the images that are asked, from the first to the last: int64 [K]."""
    count = min(num_examples, NUM_IMAGES)
    return np.arange(count) * num_examples // count


def _ask(
    ask: Callable[[str, slice], Answers], name: str, now: Answers
) -> Answers | None:
    """The answers to all images; None where those to a few tell that they are worse."""
    try:
        few = slice(None, None, _FEWER)
        found = ask(name, few).is_right.sum()
        if found < now.is_right[few].sum() - _CHANCE:
            return None
        then = ask(name, slice(None))
        return then if np.isfinite(then.cross_entropy).all() else None
    except _NOT_ASKED:
        return None


def is_better(now: Answers, then: Answers, num_classes: int) -> bool:
    """Whether `then` is right more often, or as often where `now` says nothing else."""
    if is_right_more(now.is_right, then.is_right):
        return True
    says_much = then.cross_entropy.mean() < _MUCH * math.log(num_classes)
    is_as_right = not is_right_more(then.is_right, now.is_right)
    return says_nothing(now, num_classes) and bool(says_much) and is_as_right


def says_nothing(now: Answers, num_classes: int) -> bool:
    """Whether the probabilities are hardly better than equal ones, or worse.

    Those of logits that are too large are, and of some that are too small, however
    often the largest is right.
    """
    return bool(now.cross_entropy.mean() > _NOTHING * math.log(num_classes))


def is_right_more(now: np.ndarray, then: np.ndarray) -> bool:
    """Whether bool [K] `then` is true more often than `now`, by more than chance.

    Of the images where they differ either is as likely without a difference (McNemar,
    1947).
    """
    more = int(then.sum()) - int(now.sum())
    return more >= _MORE and more > _ERRORS * math.sqrt(int((now != then).sum()))
