"""Predictions of several teachers together.

Shapes: B = examples on this replica, K = buckets, L = K - 1 classes that have their
own.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from trainer.losses.targets import Scalar, SoftTargets, to_buckets


def average(
    members: Sequence[SoftTargets], *, weights: Sequence[float], temperature: Scalar
) -> SoftTargets:
    """The average of the members' probabilities at the temperature T in use.

    The members' `weights` say how much each counts beside the others. Averaging logits
    would be another thing: one member that rules a class out would do so for all.

    Members may know classes, or buckets of them. The result is over the buckets that
    all can tell apart: the classes that each lists, in the order of the first that
    lists any, and the rest.
    """
    log_weights = [math.log(weight) for weight in weights]
    classes = _common_classes(members)
    weighted = [
        log_weight
        + tf.nn.log_softmax(_logits(member, classes, temperature) / temperature)
        for log_weight, member in zip(log_weights, members, strict=True)
    ]
    # The softmax at T divides by the sum of the weights.
    total = tf.reduce_logsumexp(tf.stack(weighted), axis=0)
    return SoftTargets(logits=temperature * total, classes=classes)


def _common_classes(members: Sequence[SoftTargets]) -> tf.Tensor | None:
    """The classes that no member has in its rest, -1 for others: int32 [B, L].

    None where each member knows all classes.
    """
    lists = [member.classes for member in members if member.classes is not None]
    if not lists:
        return None
    classes = lists[0]
    for other in lists[1:]:
        classes = tf.where(_places(classes, other) < 0, -1, classes)
    return classes


def _logits(
    member: SoftTargets, classes: tf.Tensor | None, temperature: Scalar
) -> tf.Tensor:
    """A member's logits at T over the buckets of `classes`, each class without them."""
    if classes is None:
        return member.logits
    # What it lists and others do not, joins its rest.
    places = classes if member.classes is None else _places(classes, member.classes)
    return to_buckets(member.logits, places, temperature=temperature)


def _places(classes: tf.Tensor, listed: tf.Tensor) -> tf.Tensor:
    """The indices of `classes` in another list, -1 where they are not: int32 [B, L]."""
    is_there = classes[:, :, tf.newaxis] == listed[:, tf.newaxis, :]
    place = tf.argmax(tf.cast(is_there, tf.int32), axis=-1, output_type=tf.int32)
    return tf.where(tf.reduce_any(is_there, axis=-1), place, -1)
