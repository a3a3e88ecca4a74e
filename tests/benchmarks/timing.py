"""Seconds of the real training step, and of the all-reduce in it alone."""

import math
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from trainer.session import Session, train_state
from trainer.stages.student import distillation, online

_TURN_SECS = 0.5  # of as many repetitions as fit, one at least
_WARM_UP = 3  # repetitions


class Timer:
    """What all workers of a group time together."""

    def __init__(
        self, session: Session, run: Callable[[int], object], facts: dict[str, Any]
    ) -> None:
        """`run` repeats what is timed; `facts` are told with its seconds."""
        self.facts = facts
        self._session = session
        self._run = run
        self._secs_of(_WARM_UP)
        secs = self._secs_of(_WARM_UP) / _WARM_UP
        # All workers must repeat it as often.
        self._length: int = session.devices.workers.broadcast(
            lambda: max(1, int(_TURN_SECS / secs))
        )

    def time(self) -> dict[str, float]:
        """Seconds of one repetition, and bytes that each worker sent in it."""
        self._run(_WARM_UP)
        self._session.devices.workers.barrier()
        before = _loopback_bytes()
        secs = self._secs_of(self._length)
        # A worker that has its sum may still be sending to others.
        self._session.devices.workers.barrier()
        sent = _loopback_bytes() - before
        num_workers = self._session.devices.strategy.num_replicas_in_sync
        return {
            "secs": secs / self._length,
            "counted_bytes": sent / self._length / num_workers,
        }

    def _secs_of(self, count: int) -> float:
        started = time.perf_counter()
        self._run(count)
        return time.perf_counter() - started


def steps(session: Session) -> Timer:
    """Distils a teacher that is not trained, which takes as long as a trained one.

    `first_step_at` is in seconds since the epoch.
    """
    seed = session.config.seeds[0]
    (section,) = session.config.teachers.values()
    teacher = session.networks.build("teacher", section.seed)
    teacher.trainable = False
    student = session.networks.build("student", seed)
    training = distillation(
        session.networks, student, online(session.networks, [teacher]), seed
    )
    learning = train_state.prepare(session.networks, training)
    learning.compiled.run(1)
    first_step_at = time.time()
    exchanged = [*student.trainable_variables, *learning.update.moving]
    facts = {
        "first_step_at": first_step_at,
        "global_batch_size": training.section.global_batch_size,
        # As in trainer/train/step.py metrics, examples and the wish to stop go along.
        "floats": sum(math.prod(variable.shape) for variable in exchanged)
        + len(learning.compiled.objective.metrics)
        + 2,
    }
    return Timer(session, learning.compiled.run, facts)


def all_reduces(session: Session, sizes: Sequence[int]) -> list[Timer]:
    """Sums float32 vectors of these sizes over the workers."""
    return [
        Timer(session, _all_reduce(session.devices.strategy, size), {"floats": size})
        for size in sizes
    ]


def _all_reduce(
    strategy: tf.distribute.Strategy, num_floats: int
) -> Callable[[int], object]:
    flat = tf.ones([num_floats])

    def on_replica(flat: tf.Tensor) -> tf.Tensor:
        # One tensor of all replicas of a process would count as their sum already.
        own = tf.identity(flat)
        return tf.distribute.get_replica_context().all_reduce("sum", own)

    def add(done: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        result = strategy.run(on_replica, args=(flat,))
        return done + 1, total + strategy.experimental_local_results(result)[0][-1]

    @tf.function(autograph=False)
    def repeat(count: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(
            lambda done, _: done < count,
            add,
            (tf.constant(0), tf.constant(0.0)),
            parallel_iterations=1,  # one after the other, as steps are
        )[1]

    def run(count: int) -> None:
        total = float(repeat(tf.constant(count)))
        assert total == count * strategy.num_replicas_in_sync

    return run


def _loopback_bytes() -> int:
    """Sent by all programs of this machine to itself."""
    for line in pathlib.Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[8])
    raise OSError("/proc/net/dev must list lo, the loopback interface")
