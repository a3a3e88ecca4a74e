"""Steps and cadence: knows time, not models."""

import dataclasses
import math
import time
from collections.abc import Callable

from trainer.cluster.termination import StoppedError, stopped

Metrics = dict[str, float]


class DivergedError(FloatingPointError):
    """The loss or a gradient is no longer a finite number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cadence:
    """After how many steps each thing happens; the last step brings all of them."""

    steps_per_loop: int
    log_every_steps: int
    eval_every_steps: int
    save_every_steps: int

    def next_length(self, step: int, last_step: int) -> int:
        """Steps of the loop that follows `step`."""
        # Loops end at multiples of their length, whatever step a run resumes at.
        whole = self.steps_per_loop - step % self.steps_per_loop
        return min(whole, last_step - step)

    @property
    def periods(self) -> tuple[int, int, int]:
        """Steps between logs, evaluations and saves."""
        return self.log_every_steps, self.eval_every_steps, self.save_every_steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """Sums of the loops since the last logged step."""

    totals: Metrics = dataclasses.field(default_factory=dict)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    num_steps: int = 0
    secs: float = 0.0

    def added(self, metrics: Metrics, num_steps: int, secs: float) -> "Window":
        """With a loop of so many steps, which took so long and has these means."""
        totals, counts = dict(self.totals), dict(self.counts)
        for name, value in metrics.items():
            totals[name] = totals.get(name, 0.0) + value * num_steps
            # Of a loop whose updates were all left out there are no means.
            counts[name] = counts.get(name, 0) + num_steps
        return Window(
            totals=totals,
            counts=counts,
            num_steps=self.num_steps + num_steps,
            secs=self.secs + secs,
        )

    def means(self, examples_per_step: int) -> Metrics:
        """Over all its steps."""
        means = {f"train/{k}": v / self.counts[k] for k, v in self.totals.items()}
        rate = self.num_steps * examples_per_step / self.secs
        return means | {"perf/examples_per_sec": rate}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a training is between two loops."""

    step: int  # finished steps
    is_closed: bool  # whether the step has the line and evaluation that it needs
    window: Window  # what the next line tells


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actions:
    """What the loop calls, in this order."""

    # That many steps; means over their examples, and whether to "stop".
    run_steps: Callable[[int], Metrics]
    advance: Callable[[int], None]  # so many steps are done
    evaluate: Callable[[int], Metrics]
    write: Callable[[int, Metrics], None]  # a step's line, complete
    is_best: Callable[[int], bool]  # whether the evaluation of that step is the best
    is_exhausted: Callable[[int], bool]  # whether the best is too many steps ago
    save: Callable[[Place], None]  # the state there


def train(
    actions: Actions,
    cadence: Cadence,
    *,
    start: Place,
    last_step: int,
    examples_per_step: int,
    setting: str,
) -> None:
    """Runs the steps from `start` up to `last_step`, or until exhausted.

    An evaluation is followed by the line and only then by the save, so that a restored
    run never holds a state whose line is missing. `setting` names the learning rate.

    Raises:
      DivergedError: before anything of the failed steps is written or saved.
      StoppedError: somebody asked for it; all that was done is saved.
    """
    run = _Run(actions, cadence, last_step, examples_per_step, setting)
    place = start
    while True:
        if not place.is_closed:
            place = run.close(place)
        if run.ends(place.step):
            return
        place = run.next_loop(place)


@dataclasses.dataclass(frozen=True)
class _Run:
    actions: Actions
    cadence: Cadence
    last_step: int
    examples_per_step: int
    setting: str

    def next_loop(self, place: Place) -> Place:
        length = self.cadence.next_length(place.step, self.last_step)
        started = time.monotonic()
        metrics = self.actions.run_steps(length)
        stop = metrics.pop("stop")
        step = place.step + length
        check_finite(metrics, place.step + 1, step, self.setting)
        window = place.window.added(metrics, length, time.monotonic() - started)
        self.actions.advance(step)
        place = Place(step=step, is_closed=False, window=window)
        if stop:
            self.actions.save(place)
            raise stopped(stop, f" after step {step}, which is saved")
        return place

    def close(self, place: Place) -> Place:
        """Evaluates, writes and saves what is due after a loop."""
        step, window = place.step, place.window
        log_due, eval_due, save_due = (
            step == self.last_step or step % every == 0
            for every in self.cadence.periods
        )
        try:
            evaluation = self.actions.evaluate(step) if eval_due else {}
        except StoppedError:
            self.actions.save(place)
            raise
        # Training's metrics come before the last update, these after it.
        check_finite(evaluation, step, step, self.setting)
        if log_due:
            means = window.means(self.examples_per_step)
            self.actions.write(step, means | evaluation)
            window = Window()
        place = Place(step=step, is_closed=True, window=window)
        best = eval_due and self.actions.is_best(step)
        if save_due or best or self.ends(step):
            self.actions.save(place)
        return place

    def ends(self, step: int) -> bool:
        # Patience is counted where validation is, so that a resumed run ends alike.
        evaluated = step % self.cadence.eval_every_steps == 0
        exhausted = evaluated and self.actions.is_exhausted(step)
        return step == self.last_step or exhausted


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
