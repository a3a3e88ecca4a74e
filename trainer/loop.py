"""Steps and cadence: knows time, not models."""

import dataclasses
import math
import time
from collections.abc import Callable

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
class Actions:
    """What the loop calls, in this order."""

    run_steps: Callable[[int], Metrics]  # that many steps; means over their examples
    advance: Callable[[int], None]  # so many steps are done
    evaluate: Callable[[int], Metrics]
    write: Callable[[int, Metrics], None]  # a step's line, complete
    is_best: Callable[[int], bool]  # whether the evaluation of that step is the best
    is_exhausted: Callable[[int], bool]  # whether the best is too many steps ago
    save: Callable[[int], None]  # the state after that step


def train(
    actions: Actions,
    cadence: Cadence,
    *,
    first_step: int,
    last_step: int,
    examples_per_step: int,
    setting: str,
) -> None:
    """Runs the steps after `first_step` up to `last_step`, or until exhausted.

    An evaluation is followed by the line and only then by the save, so that a restored
    run never holds a state whose line is missing. `setting` names the learning rate.

    Raises:
      DivergedError: before anything of the failed steps is written or saved.
    """
    step = first_step
    window = _Window()
    while not _ends(actions, cadence, step, last_step):
        length = cadence.next_length(step, last_step)
        started = time.monotonic()
        metrics = actions.run_steps(length)
        check_finite(metrics, step + 1, step + length, setting)
        window.add(metrics, length, time.monotonic() - started)
        step += length
        actions.advance(step)

        log_due, eval_due, save_due = (
            step == last_step or step % every == 0 for every in cadence.periods
        )
        evaluation = actions.evaluate(step) if eval_due else {}
        # Training's metrics come before the last update, these after it.
        check_finite(evaluation, step, step, setting)
        if log_due:
            actions.write(step, window.means(examples_per_step) | evaluation)
            window = _Window()
        best = eval_due and actions.is_best(step)
        if save_due or best or _ends(actions, cadence, step, last_step):
            actions.save(step)


def _ends(actions: Actions, cadence: Cadence, step: int, last_step: int) -> bool:
    # Patience is counted where validation is, so that a resumed run ends alike.
    evaluated = step % cadence.eval_every_steps == 0
    return step == last_step or (evaluated and actions.is_exhausted(step))


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


class _Window:
    """Means of the loops since the last logged step."""

    def __init__(self) -> None:
        self._totals: Metrics = {}
        self._counts: dict[str, int] = {}
        self._num_steps = 0
        self._secs = 0.0

    def add(self, metrics: Metrics, num_steps: int, secs: float) -> None:
        for name, value in metrics.items():
            self._totals[name] = self._totals.get(name, 0.0) + value * num_steps
            # Of a loop whose updates were all left out there are no means.
            self._counts[name] = self._counts.get(name, 0) + num_steps
        self._num_steps += num_steps
        self._secs += secs

    def means(self, examples_per_step: int) -> Metrics:
        means = {f"train/{k}": v / self._counts[k] for k, v in self._totals.items()}
        rate = self._num_steps * examples_per_step / self._secs
        return means | {"perf/examples_per_sec": rate}
