"""The loop: the order of training steps, evaluation, logging and checkpoints."""

import dataclasses
import math
import time
from typing import Protocol

from trainer.cluster.termination import StoppedError, stop_error

Metrics = dict[str, float]


class DivergedError(FloatingPointError):
    """The loss or a gradient is no longer a finite number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cadence:
    """The steps between two logs, evaluations and checkpoints; the last has all."""

    steps_per_loop: int
    log_every_steps: int
    eval_every_steps: int
    save_every_steps: int

    def next_length(self, step: int, last_step: int) -> int:
        """The number of steps to take together after `step`."""
        # Loops end at multiples of their length, whatever step a run resumes at.
        whole = self.steps_per_loop - step % self.steps_per_loop
        return min(whole, last_step - step)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricAccumulator:
    """Sums of the metrics of the steps since the last logged one."""

    totals: Metrics = dataclasses.field(default_factory=dict)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    num_steps: int = 0
    secs: float = 0.0

    def add(
        self, metrics: Metrics, *, num_steps: int, secs: float
    ) -> "MetricAccumulator":
        """Adds the mean `metrics` of so many steps, which took `secs`."""
        totals, counts = dict(self.totals), dict(self.counts)
        for name, value in metrics.items():
            totals[name] = totals.get(name, 0.0) + value * num_steps
            # Steps whose updates were all left out have no mean.
            counts[name] = counts.get(name, 0) + num_steps
        return MetricAccumulator(
            totals=totals,
            counts=counts,
            num_steps=self.num_steps + num_steps,
            secs=self.secs + secs,
        )

    def means(self, examples_per_step: int) -> Metrics:
        """The mean of each metric over all steps, and the examples a second."""
        means = {f"train/{k}": v / self.counts[k] for k, v in self.totals.items()}
        rate = self.num_steps * examples_per_step / self.secs
        return means | {"perf/examples_per_sec": rate}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopState:
    """The state of the loop between two iterations."""

    step: int  # finished steps
    is_closed: bool  # whether all that the step needs is done: its line, its evaluation
    unlogged: MetricAccumulator  # of the steps since the last line


class Callbacks(Protocol):
    """The parts of an iteration; every worker calls them in the same order."""

    def train_steps(self, num_steps: int) -> Metrics:
        """Takes so many steps; gives means over their examples, and "stop"."""

    def advance(self, step: int) -> None:
        """Shows that `step` steps are done."""

    def evaluate(self, step: int) -> Metrics:
        """Metrics of the validation split after `step`."""

    def log(self, step: int, metrics: Metrics) -> None:
        """Writes the line of `step`, with all of its metrics."""

    def save(self, state: LoopState) -> None:
        """Writes a checkpoint of the model and of `state`."""

    def is_best(self, step: int) -> bool:
        """Whether the evaluation after `step` is the best so far."""

    def stops_early(self, step: int) -> bool:
        """Whether the best evaluation is too many steps before `step`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loop:
    """The loop of one training; `setting` names its learning rate in messages."""

    callbacks: Callbacks
    cadence: Cadence
    last_step: int
    examples_per_step: int
    setting: str

    def run(self, state: LoopState) -> None:
        """Trains from `state` up to the last step, or until it stops early.

        Raises:
          DivergedError: before anything of the failed steps is written or saved.
          StoppedError: somebody asked for it; all that was done is saved.
        """
        while True:
            # A stop leaves a step that is not closed: a new start closes it first.
            if not state.is_closed:
                # Evaluation first: its metrics are part of the step's one line.
                evaluation = self._evaluate(state)
                # The line before the checkpoint: no restored run lacks a line.
                state = self._log(state, evaluation)
                # The checkpoint last: it holds all that was done.
                if self._save_is_due(state.step, is_evaluated=bool(evaluation)):
                    self.callbacks.save(state)
            if self._ends(state.step):
                return
            state = self._train_steps(state)

    def _train_steps(self, state: LoopState) -> LoopState:
        num_steps = self.cadence.next_length(state.step, self.last_step)
        started = time.monotonic()
        metrics = self.callbacks.train_steps(num_steps)
        secs = time.monotonic() - started
        stop = metrics.pop("stop")
        step = state.step + num_steps
        check_finite(metrics, state.step + 1, step, self.setting)
        self.callbacks.advance(step)
        unlogged = state.unlogged.add(metrics, num_steps=num_steps, secs=secs)
        state = LoopState(step=step, is_closed=False, unlogged=unlogged)
        if stop:
            # At once, since the time to end is short: the next start closes the step.
            self.callbacks.save(state)
            raise stop_error(stop, f" after step {step}, which is saved")
        return state

    def _evaluate(self, state: LoopState) -> Metrics:
        """The metrics of the validation split; none where it is not due."""
        step = state.step
        if not self._is_due(step, self.cadence.eval_every_steps):
            return {}
        try:
            metrics = self.callbacks.evaluate(step)
        except StoppedError:
            self.callbacks.save(state)
            raise
        # Training's metrics come before the last update, these after it.
        check_finite(metrics, step, step, self.setting)
        return metrics

    def _log(self, state: LoopState, evaluation: Metrics) -> LoopState:
        unlogged = state.unlogged
        if self._is_due(state.step, self.cadence.log_every_steps):
            means = unlogged.means(self.examples_per_step)
            self.callbacks.log(state.step, means | evaluation)
            unlogged = MetricAccumulator()
        return LoopState(step=state.step, is_closed=True, unlogged=unlogged)

    def _save_is_due(self, step: int, *, is_evaluated: bool) -> bool:
        return (
            self._is_due(step, self.cadence.save_every_steps)
            or (is_evaluated and self.callbacks.is_best(step))
            or self._ends(step)
        )

    def _is_due(self, step: int, every_steps: int) -> bool:
        return step == self.last_step or step % every_steps == 0

    def _ends(self, step: int) -> bool:
        # Patience is counted where validation is, so that a resumed run ends alike.
        is_evaluated = step % self.cadence.eval_every_steps == 0
        stops_early = is_evaluated and self.callbacks.stops_early(step)
        return step == self.last_step or stops_early


def check_finite(metrics: Metrics, first: int, last: int, setting: str) -> None:
    """Looks at the metrics of steps `first` to `last`; `setting` is the learning rate.

    Raises:
      DivergedError: one of them is no finite number.
    """
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        raise DivergedError(
            f"training diverged between step {first} and step {last}: "
            f"{', '.join(broken)} became {metrics[broken[0]]}; lower {setting} or add "
            "warm-up steps, with another --workdir; earlier checkpoints are intact"
        )
