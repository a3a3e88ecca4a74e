"""Whether a teacher is right more often where its images have other values."""

import functools
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from trainer import models
from trainer.config import ClassMap
from trainer.evaluation import metrics
from trainer.session.networks import Networks

NUM_IMAGES = 128  # of the validation split; more would take time
_FEWER = 4  # times fewer, asked first: most ranges are not better on these
_MORE = 10  # images that another value has to be right on more
_ERRORS = 3  # standard errors of that number
# A model may refuse values that it does not expect; nothing is lost by not asking it.
_NOT_ASKED = (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError)


def input_warning(
    networks: Networks, role: str, *, model: keras.Model, logits: np.ndarray
) -> str:
    """A warning on another options.input that suits a teacher better; "" where none.

    `logits` [M, C] are what its `model` says of the validation split. All workers call
    it together.
    """
    options = networks.config.teachers[role].options
    class_map = networks.class_map(role)
    validation = networks.datasets.validation
    rows = evenly(len(validation))
    labels = validation.labels[rows]
    now = _right(logits[rows], class_map, labels)
    others = models.other_values(model, options, networks.inputs(role))
    # None could be right on so many more.
    if not others or len(rows) - now.sum() < _MORE:
        return ""
    images = validation.read(rows)

    def ask(values: str, part: slice) -> np.ndarray:
        given = models.predict_as(values, model, options, images[part])
        return _right(given, class_map, labels[part])

    with networks.devices.strategy.scope():
        counts = {
            name: _num_right(functools.partial(ask, name), now) for name in others
        }
    best = max(counts, key=counts.__getitem__)
    if not counts[best]:
        return ""
    return (
        f"warning: with {role}.options.input = {best!r} it would be right on "
        f"{100 * counts[best] / len(rows):.1f} % of {len(rows)} validation images, "
        f"instead of {100 * now.mean():.1f} % with {options.input!r}; set it, unless "
        "the model was trained on such images"
    )


def evenly(num_examples: int) -> np.ndarray:
    """The rows of the images that are asked, from the first to the last: int64 [K]."""
    count = min(num_examples, NUM_IMAGES)
    return np.arange(count) * num_examples // count


def _num_right(ask: Callable[[slice], np.ndarray], now: np.ndarray) -> int:
    """The images that `ask` finds right; 0 where these are not more than `now`."""
    try:
        few = slice(None, None, _FEWER)
        if ask(few).sum() <= now[few].sum():
            return 0
        then = ask(slice(None))
    except _NOT_ASKED:
        return 0
    return int(then.sum()) if is_better(now, then) else 0


def is_better(now: np.ndarray, then: np.ndarray) -> bool:
    """Whether bool [K] `then` is true more often than `now`, by more than chance.

    Of the images where they differ either is as likely without a difference (McNemar,
    1947).
    """
    more = int(then.sum()) - int(now.sum())
    return more >= _MORE and more > _ERRORS * math.sqrt(int((now != then).sum()))


def _right(
    logits: np.ndarray, class_map: ClassMap | None, labels: np.ndarray
) -> np.ndarray:
    found: np.ndarray = metrics.map_logits(logits, class_map).argmax(axis=1) == labels
    return found
