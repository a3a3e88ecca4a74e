"""Checks of a user's own loss, which is called before anything trains.

Shapes: B = examples, C = classes.
"""

import functools

import numpy as np
import tensorflow as tf

from trainer.config import ConfigError
from trainer.losses import Member, SoftTargets, TeacherPredictions
from trainer.train.feature_loss import StudentOutputs
from trainer.train.terms import Term

_COUNT = 8  # examples of half a batch where there are no groups
_TOLERANCE = 1e-5  # relative, of float32


def check_own_loss(
    term: Term,
    *,
    name: str,
    setting: str,
    num_teachers: int,
    num_classes: int,
    group_size: int,
) -> None:
    """Calls the loss on a drawn batch and on its halves.

    All of the teachers predict the same.

    Raises:
      ConfigError: it cannot be called, gives another shape or what is not finite, does
        not depend on the student, or couples the examples of different groups.
    """
    half = group_size or _COUNT
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(0, 3, (2, 2 * half, num_classes)).astype(np.float32)
    labels = rng.integers(num_classes, size=2 * half, dtype=np.int32)
    call = functools.partial(_call, term, num_teachers)
    try:
        values, gradient = call(student, teacher, labels)
        halves = [
            call(student[rows], teacher[rows], labels[rows])[0]
            for rows in (slice(half), slice(half, None))
        ]
    except Exception as error:  # whatever a user's function may raise
        raise ConfigError(
            f"{setting} {name!r} must be callable as function(student_logits, "
            "teacher_logits[, labels], *, temperature, **options) on float32 "
            f"[{2 * half}, {num_classes}], got {type(error).__name__}: {error}"
        ) from error
    told = f"{setting} {name!r}"
    _check_values(values, gradient, name=told, count=2 * half)
    _check_groups(values, np.concatenate(halves), name=told)


def _check_groups(values: np.ndarray, halves: np.ndarray, *, name: str) -> None:
    """Refuses values of a batch that are not those of its halves."""
    apart = np.abs(halves - values).max()
    if apart > _TOLERANCE * max(1.0, float(np.abs(values).max())):
        raise ConfigError(
            f"{name} must give an example of one group the same loss whatever others "
            f"are in the batch, got a difference of {apart:.3g} between a batch of "
            f"{len(values)} and its halves; a loss between examples takes the keyword "
            "group_size, with distill.group_size set, and computes inside groups of so "
            "many neighbours"
        )


def _check_values(
    values: np.ndarray, gradient: np.ndarray | None, *, name: str, count: int
) -> None:
    """Refuses values of another shape than [B] for B = `count`, or no finite ones."""
    if values.shape != (count,):
        raise ConfigError(
            f"{name} must return the loss of each example, shape "
            f"[{count}], got {list(values.shape)}; do not reduce over the batch"
        )
    if gradient is None or not np.isfinite([*values, *gradient.ravel()]).all():
        got = "no gradient" if gradient is None else "what is not finite"
        raise ConfigError(
            f"{name} must have finite values and a finite gradient to the "
            f"student's logits, got {got} for logits drawn around 0"
        )


def _call(
    term: Term,
    num_teachers: int,
    student: np.ndarray,
    teacher: np.ndarray,
    labels: np.ndarray,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The values, and their gradient to the student's logits."""
    targets = SoftTargets(logits=tf.constant(teacher))
    member = Member(at=lambda temperature: targets)
    logits, step = tf.constant(student), tf.constant(0)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        values = term.loss(
            StudentOutputs(logits=logits),
            TeacherPredictions(
                members=[member] * num_teachers, weights=[1.0] * num_teachers
            ),
            tf.constant(labels),
            term.temperature(step),
        )
    gradient = tape.gradient(values, logits)
    return values.numpy(), None if gradient is None else gradient.numpy()
