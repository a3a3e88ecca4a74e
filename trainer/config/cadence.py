"""Periods of a training: how often it returns to Python, logs, evaluates and saves.

Each is a multiple of another one, its unit, so that what happens at the end of one
falls on an end of the other. A number that is none is taken as the nearest.
"""

import dataclasses
from collections.abc import Mapping

from trainer.config.runtime import RuntimeConfig

EPOCH = "epoch"

# The unit of each period, which comes before it.
_UNITS: Mapping[str, str] = {
    "steps_per_loop": "steps_per_execution",
    "log_every_steps": "steps_per_loop",
    "eval_every_steps": "log_every_steps",
    # A resumed run starts at a save, so a logged interval must start there too.
    "save_every_steps": "log_every_steps",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Periods:
    """The periods in steps, by their settings."""

    steps: Mapping[str, int]  # without those that only the data tell
    notes: tuple[str, ...]  # a sentence on each that is other than it is set


def periods(runtime: RuntimeConfig, *, epoch_steps: float | None = None) -> Periods:
    """The periods of a training whose epochs have so many steps; None: of any."""
    steps = {"steps_per_execution": runtime.steps_per_execution}
    notes = []
    for name, unit in _UNITS.items():
        asked = getattr(runtime, name)
        exact = epoch_steps if asked == EPOCH else asked
        if exact is None or unit not in steps:
            continue
        steps[name] = _nearest(exact, steps[unit])
        if steps[name] != asked:
            told = f" ({exact:.6g} steps)" if asked == EPOCH else ""
            notes.append(
                f"runtime.{name} = {asked!r}{told} is taken as {steps[name]} steps, "
                f"the nearest multiple of runtime.{unit} ({steps[unit]})"
            )
    del steps["steps_per_execution"]
    return Periods(steps=steps, notes=tuple(notes))


def loop_steps(runtime: RuntimeConfig) -> int:
    """The steps of a loop, which are those of any training."""
    return periods(runtime).steps["steps_per_loop"]


def _nearest(steps: float, unit: int) -> int:
    """The nearest multiple, the larger one of two, and at least one unit."""
    return max(1, int(steps / unit + 0.5)) * unit
