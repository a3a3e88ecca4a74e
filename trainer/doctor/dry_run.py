"""A few steps of a training: whether it runs, how fast, and what memory it takes."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from trainer.config import loop_steps
from trainer.devices import memory
from trainer.session import Session, train_state
from trainer.session.datasets import Datasets
from trainer.session.features import fold_tapped, teacher_taps
from trainer.session.networks import Networks
from trainer.session.train_state import TrainSpec, TrainState
from trainer.train import loop

_NUM_LOOPS = 5
_LOOP_SECS = 0.5  # of as many steps as fit, one at least
# Batches that are waited for, so that steps find them ready; and how long at most.
_READY_BATCHES, _MOST_PAUSE_SECS = 4, 2.0
_NUM_PAUSES = 2
_PIPELINE_SECS = 1.0
_PULLED_BATCHES = 8  # at a time
# Of batches that were made while nobody asked, which say nothing about the speed.
_READY_SECS = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Footprint:
    """Bytes that one replica keeps of a model."""

    weights: int
    gradients: int
    slots: int  # of the optimizer
    averages: int  # of the weights, where `ema` is on

    @property
    def state(self) -> int:
        """The size of a checkpoint."""
        return self.weights + self.slots + self.averages

    @property
    def text(self) -> str:
        """Its parts, as people read them."""
        parts = [
            f"weights {memory.text(self.weights)}",
            f"gradients {memory.text(self.gradients)}",
            f"optimizer slots {memory.text(self.slots)}",
        ]
        if self.averages:
            parts.append(f"averages {memory.text(self.averages)}")
        return ", ".join(parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DryRun:
    """Measurements of the first steps of a training."""

    num_steps: int  # of the whole training
    global_batch_size: int
    first_secs: float  # until the first step is done: tracing, compiling, first batch
    step_secs: float  # of a later one; the median over the loops
    ready_secs: float  # of one whose batch was ready before; the least that was seen
    loop_steps: int
    footprint: Footprint
    peak: list[str]  # a line for each place where memory was measured

    @property
    def loops(self) -> str:
        """The loops whose median is the time of a step, in words."""
        return f"{_NUM_LOOPS} x {self.loop_steps} steps"

    @property
    def examples_per_sec(self) -> float:
        """The examples a second of the steps, as fast as their batches came."""
        return self.global_batch_size / self.step_secs

    @property
    def ready_rate(self) -> float:
        """The examples a second of steps that wait for no batch."""
        return self.global_batch_size / self.ready_secs


def dry_run(session: Session, attempt: TrainSpec) -> DryRun:
    """Takes a few steps of a training whose folder holds nothing.

    Raises:
      ConfigError: a setting of the training, its weights or its model cannot be used.
      DivergedError: a loss or a gradient is no finite number.
      tf.errors.OpError: the devices cannot do it, or have too little memory.
    """
    meter = memory.PeakMeter()
    started = time.perf_counter()
    state = train_state.prepare(session.networks, attempt)

    timed = _Clock(state, setting=f"{attempt.setting}.learning_rate").timed
    timed(1)
    first_secs = time.perf_counter() - started
    runtime = session.config.runtime
    # To the end of the first program, so that loops begin with one.
    rest = max(1, runtime.steps_per_execution - 1)
    fitting = int(_LOOP_SECS * rest / timed(rest))
    length = min(loop_steps(runtime), max(1, fitting))
    loops = [timed(length) for _ in range(_NUM_LOOPS)]
    step_secs = statistics.median(loops) / length
    return DryRun(
        num_steps=attempt.num_steps,
        global_batch_size=attempt.section.global_batch_size,
        first_secs=first_secs,
        step_secs=step_secs,
        ready_secs=_ready_secs(timed, step_secs, runtime.steps_per_execution),
        loop_steps=length,
        footprint=footprint(
            [attempt.model, *attempt.objective.adapters], state.update.state
        ),
        peak=meter.lines(),
    )


class _Clock:
    """Takes the time of a training's next steps."""

    def __init__(self, state: TrainState, *, setting: str) -> None:
        self._state = state
        self._setting = setting  # that a loss or gradient without bounds speaks of
        self._num_done = 0

    def timed(self, num_steps: int) -> float:
        """Seconds of the next steps."""
        began = time.perf_counter()
        metrics = self._state.compiled.run(num_steps)
        first, last = self._num_done + 1, self._num_done + num_steps
        loop.check_finite(metrics, first, last, self._setting)
        self._num_done = last
        return time.perf_counter() - began


def _ready_secs(
    timed: Callable[[int], float], step_secs: float, together: int
) -> float:
    """Seconds of a step that finds its batch ready, of programs of so many steps."""
    # Whole programs, and few, as there are few batches ready.
    length = together if together > 1 else _READY_BATCHES // 2
    found = []
    for _ in range(_NUM_PAUSES):
        time.sleep(min(_MOST_PAUSE_SECS, _READY_BATCHES * together * step_secs))
        found.append(timed(length) / length)
    return min(step_secs, *found)


def footprint(
    networks: Sequence[keras.layers.Layer],
    update_state: Mapping[str, Sequence[keras.Variable]],
) -> Footprint:
    """The footprint of a model with its adapters, and of their optimizer, if any."""
    weights = [v for network in networks for v in network.variables]
    trained = [v for network in networks for v in network.trainable_variables]
    return Footprint(
        weights=memory.num_bytes(weights),
        gradients=memory.num_bytes(trained),
        slots=memory.num_bytes(update_state.get("optimizer", ())),
        averages=memory.num_bytes(update_state.get("averages", ())),
    )


def frozen_footprint(
    networks: Networks, member: int, teacher: keras.Model
) -> Footprint:
    """The footprint of a frozen teacher and of the folded network beside it."""
    taps = teacher_taps(networks.config, member, teacher)
    folded, _ = fold_tapped(networks, teacher, taps)
    variables = [*teacher.variables, *folded.variables]
    weights = memory.num_bytes({id(v): v for v in variables}.values())
    return Footprint(weights=weights, gradients=0, slots=0, averages=0)


def pipeline_rate(datasets: Datasets, attempt: TrainSpec) -> float:
    """Examples a second of a training's input pipeline alone, without a model."""
    iterator = iter(train_state.batches(datasets, attempt, 0))

    def pull(done: tf.Tensor) -> tf.Tensor:
        next(iterator)
        return done + 1

    @tf.function(autograph=False)
    def pull_all(count: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(lambda done: done < count, pull, [tf.constant(0)])[0]

    def rate_over(num_secs: float) -> float:
        started = time.perf_counter()
        count, secs = 0, 0.0
        while secs < num_secs:
            count += int(pull_all(tf.constant(_PULLED_BATCHES)))
            secs = time.perf_counter() - started
        return count / secs

    rate_over(_READY_SECS)
    return rate_over(_PIPELINE_SECS) * attempt.section.global_batch_size
