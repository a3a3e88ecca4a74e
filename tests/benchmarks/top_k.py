"""What a cache of the k largest logits loses against one of all, and what it saves.

    python -m tests.benchmarks.top_k

prints a table in Markdown, the same each time. Nothing is trained or measured with a
clock: logits are drawn, and the loss of the trainer is taken over buckets and over all
classes. Shapes: B = examples, C = 1000 classes.

How logits are drawn: the classes are 50 kinds of 20, as dogs and cars are kinds of
ImageNet's classes. A logit is normal noise of its class plus normal noise of its kind;
the true class, and a little its kind, is raised by a lead that differs from example to
example. The numbers are chosen for what a network that is good at ImageNet gives: a
top-1 probability of 0.7 to 0.9 on average, some examples certain and some in doubt, and
a tail of 990 classes whose logits spread by about 1.5, most of the mass at T = 4. A
student has a share of the teacher's logits, and noise of its own of the same kinds.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from trainer import losses

NUM_CLASSES = 1000
NUM_EXAMPLES = 256
TEMPERATURES = (1.0, 4.0, 10.0)
SIZES = (10, 50, 100)
LOGIT_BYTES = {"float16": 2, "float32": 4}

_CLASSES_OF_A_KIND = 20
_FRAMING_BYTES, _ID_BYTES, _CLASS_BYTES, _TAIL_BYTES = 16, 8, 4, 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """How far a student has come."""

    name: str
    share: float  # of the teacher's logits
    noise: float  # standard deviation of what is its own


STUDENTS = (
    Student(name="early", share=0.2, noise=0.7),
    Student(name="late", share=0.8, noise=0.5),
)


def teacher_logits() -> np.ndarray:
    """Of all examples: float32 [B, C]."""
    rng = np.random.default_rng(2015)
    logits = _noise(rng)
    labels = rng.integers(0, NUM_CLASSES, NUM_EXAMPLES)
    lead = rng.normal(10.5, 2.5, NUM_EXAMPLES)
    is_kind = _kinds(np.arange(NUM_CLASSES)) == _kinds(labels)[:, np.newaxis]
    logits += 0.2 * lead[:, np.newaxis] * is_kind
    logits[np.arange(NUM_EXAMPLES), labels] += 0.8 * lead
    return logits.astype(np.float32)


def student_logits(teacher: np.ndarray, student: Student) -> np.ndarray:
    """Of the same examples: float32 [B, C]."""
    own = student.noise * _noise(np.random.default_rng(1))
    return (student.share * teacher + own).astype(np.float32)


def _kinds(classes: np.ndarray) -> np.ndarray:
    return classes // _CLASSES_OF_A_KIND


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Of each class, and of each kind: [B, C]."""
    num_kinds = NUM_CLASSES // _CLASSES_OF_A_KIND
    of_class = rng.normal(0, 1.2, (NUM_EXAMPLES, NUM_CLASSES))
    of_kind = rng.normal(0, 0.8, (NUM_EXAMPLES, num_kinds))
    return of_class + of_kind[:, _kinds(np.arange(NUM_CLASSES))]


def errors(
    student: np.ndarray,
    teacher: np.ndarray,
    *,
    k: int,
    temperature: float,
    dtype: str = "float16",
) -> tuple[float, float]:
    """Of the mean soft loss and of its gradient, relative to those of all classes.

    The k largest logits are cached in `dtype`; with k = C there is no tail. The
    gradient is that with respect to the student's logits of all examples, and its error
    the L2 norm of the difference.
    """
    exact = losses.SoftTargets(logits=tf.constant(teacher))
    whole, slope = _loss_and_gradient(student, exact, temperature)
    cached = losses.SoftTargets(logits=tf.constant(_rounded(teacher, dtype)))
    if k < NUM_CLASSES:
        classes = tf.math.top_k(teacher, k).indices
        buckets = losses.to_buckets(teacher, classes, temperature=temperature).numpy()
        kept, tail = buckets[:, :-1], buckets[:, -1:]
        logits = np.hstack([_rounded(kept, dtype), tail])
        cached = losses.SoftTargets(logits=tf.constant(logits), classes=classes)
    loss, gradient = _loss_and_gradient(student, cached, temperature)
    of_gradient = np.linalg.norm(gradient - slope) / np.linalg.norm(slope)
    return abs(loss / whole - 1), float(of_gradient)


def record_bytes(k: int, dtype: str) -> int:
    """Of an example in the cache; with k = C it has no classes and no tail."""
    if k == NUM_CLASSES:
        return _FRAMING_BYTES + _ID_BYTES + k * LOGIT_BYTES[dtype]
    each = _CLASS_BYTES + LOGIT_BYTES[dtype]
    return _FRAMING_BYTES + _ID_BYTES + k * each + _TAIL_BYTES


def lines() -> Iterator[str]:
    """The table in Markdown, of caches in float16."""
    teacher = teacher_logits()
    heads = [f"T = {temperature:g}: loss, gradient" for temperature in TEMPERATURES]
    yield f"| student | logits | bytes (float32) | {' | '.join(heads)} |"
    yield "| --- | ---: | ---: |" + " ---: |" * len(heads)
    for student in STUDENTS:
        logits = student_logits(teacher, student)
        for k in SIZES:
            yield _row(student.name, k, logits, teacher)
    yield _row("late", NUM_CLASSES, logits, teacher)


def _row(name: str, k: int, student: np.ndarray, teacher: np.ndarray) -> str:
    cells = []
    for temperature in TEMPERATURES:
        found = errors(student, teacher, k=k, temperature=temperature)
        cells.append(", ".join(map(_percent, found)))
    num_bytes = f"{record_bytes(k, 'float16'):,} ({record_bytes(k, 'float32'):,})"
    kept = "all" if k == NUM_CLASSES else str(k)
    return f"| {name} | {kept} | {num_bytes} | {' | '.join(cells)} |"


def _percent(share: float) -> str:
    """With two digits that count."""
    percent = 100 * share
    digits = 0 if percent >= 9.95 else 1 if percent >= 0.995 else 2
    return f"{percent:.{digits}f}%" if percent >= 0.01 else "<0.01%"


def _rounded(logits: np.ndarray, dtype: str) -> np.ndarray:
    return logits.astype(dtype).astype(np.float32)


def _loss_and_gradient(
    student: np.ndarray, targets: losses.SoftTargets, temperature: float
) -> tuple[float, np.ndarray]:
    logits = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        soft = losses.soft_loss(
            targets.to_buckets(logits, temperature=temperature),
            targets.logits,
            temperature=temperature,
        )
        loss = tf.reduce_mean(soft)
    return float(loss), tape.gradient(loss, logits).numpy()


if __name__ == "__main__":
    for line in lines():
        print(line)
