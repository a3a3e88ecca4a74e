"""The sweep section: which settings are to be found, how, and by what measure."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from trainer.config.errors import ConfigError, nearest
from trainer.config.rules import (
    Count,
    CountOrNone,
    OptionsOf,
    Place,
    Positive,
    Rule,
    between,
)
from trainer.config.selection import ACCURACY, METRICS, TITLE
from trainer.config.study import OF_STUDENTS, Settings, check_shared, check_values

if TYPE_CHECKING:
    import decimal

NUMBER = Rule(lambda value: type(value) in (int, float), "a number", {"type": "number"})
_MOST_VALUES = 10_000  # that a grid goes through, and steps of a range
# The best of some seeds would be one of luck.
_OF_TRIALS = tuple(name for name in OF_STUDENTS if name != "seeds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoPrunerOptions:
    """Every trial is trained to its end."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MedianOptions:
    """Ends what is worse than the median of the complete trials at the same step."""

    startup_trials: CountOrNone = 5  # trials that are complete before any is ended
    warmup_steps: CountOrNone = 0  # updates of a training before it may end


@dataclasses.dataclass(frozen=True, kw_only=True)
class BanditOptions:
    """Ends what is not within a slack of the best trial, as HyperDrive's BanditPolicy.

    Intervals are evaluations on the validation split.
    """

    # How far a trial may be behind the best one, as a share of its own metric.
    slack_factor: Positive = 0.1
    evaluation_interval: Count = 1  # evaluations from one look at the trial to the next
    delay_evaluation: CountOrNone = 0  # evaluations before the first look


PRUNERS: Mapping[str, type] = {
    "none": NoPrunerOptions,
    "median": MedianOptions,
    "bandit": BanditOptions,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """All numbers from one to another, both of them included."""

    low: Annotated[Any, NUMBER]  # the smallest value
    high: Annotated[Any, NUMBER]  # the largest value
    log: bool = False  # whether they are drawn evenly by their logarithms
    # The distance of two values; 0: any float, every whole number.
    step: Annotated[Any, NUMBER] = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """The values that one setting may take: choices, or numbers of a range."""

    kind: Literal["choice", "int", "float"]
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float = 0  # 0: no steps

    @property
    def values(self) -> tuple[Any, ...]:
        """All of them; of a range those from step to step."""
        if self.kind == "choice":
            return self.choices
        low, high, step = map(_decimal, (self.low, self.high, self.step))
        number = int if self.kind == "int" else float
        count = int((high - low) / step) + 1
        return tuple(number(low + i * step) for i in range(count))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """Trials of this run, for the sweep command; a run does without it."""

    # The values of each setting that is to be found, by its path: a list of choices,
    # or a range.
    space: dict[str, Range | tuple[Any, ...]]
    trials: Count = 20  # how many are begun; what is begun again counts once
    # What chooses the settings of a trial.
    sampler: Literal["random", "grid", "tpe"] = "tpe"
    seed: Annotated[int, between(0, 2**31 - 1)] = 0  # the seed of the sampler
    # What is compared, of the validation split at the step that is selected; the mean
    # over `seeds`. Its name may stand behind "eval/", as in metrics.jsonl.
    metric: str = ACCURACY
    # What ends trials that do badly; it looks at the first seed.
    pruner: Literal["none", "median", "bandit"] = "none"
    # The options of the pruner.
    pruner_options: Annotated[Any, OptionsOf("pruner", PRUNERS)]
    # An Optuna URL, such as sqlite:///FILE; "": a journal in the workdir.
    storage: Place = ""
    retries: CountOrNone = 2  # how often a trial is begun again that was killed

    @property
    def is_maximized(self) -> bool:
        """Whether more of the metric is better."""
        return METRICS[self.metric.removeprefix(TITLE)]

    def axes(self, of_variant: Callable[[Settings], Settings]) -> dict[str, Axis]:
        """Each setting with its values, by its path.

        `of_variant` gives all settings of a run, by their paths, of those of a trial.

        Raises:
          ConfigError: the run refuses a choice or an end of a range, or the sampler
            cannot go through the values.
        """
        first = {path: _ends(values)[0] for path, values in self.space.items()}
        axes = {}
        for path, values in self.space.items():
            try:
                taken = [
                    of_variant(first | {path: value}).get(path)
                    for value in _ends(values)
                ]
            except ConfigError as error:
                raise ConfigError(f"sweep.space: {error}") from None
            axes[path] = _axis(path, values, taken)
            if self.sampler == "grid":
                _check_steps(path, axes[path])
        if self.sampler == "grid":
            _check_count(axes)
        # Last, since a path may be of no setting at all.
        check_shared("sweep.space", self.space, _OF_TRIALS)
        return axes

    def __post_init__(self) -> None:
        """Checks what needs no run: the metric, and ranges by themselves."""
        name = self.metric.removeprefix(TITLE)
        if name not in METRICS:
            raise ConfigError(
                f"sweep.metric must be of the validation split, got {self.metric!r}; "
                f"{nearest(name, METRICS)}"
            )
        object.__setattr__(self, "metric", f"{TITLE}{name}")
        if not self.space:
            raise ConfigError(
                "sweep.space must have a setting and its values, got none; for example "
                '"distill.temperature" = {low = 1.0, high = 20.0, log = true}'
            )
        for path, values in self.space.items():
            if isinstance(values, Range):
                _check_range(path, values)
            else:
                check_values("sweep.space", path, values)


def _check_range(path: str, given: Range) -> None:
    rule, value = "", dataclasses.asdict(given)
    if given.low >= given.high:
        rule = "a high above its low"
    elif given.log and given.low <= 0:
        rule = "a low above 0 where log is true"
    elif given.log and given.step:
        rule = "either log or a step"
    elif given.step < 0:
        rule = "a step above 0"
    elif given.step and given.high - given.low > _MOST_VALUES * given.step:
        rule = f"at most {_MOST_VALUES} steps"
    elif given.step and (_decimal(given.high) - _decimal(given.low)) % _decimal(
        given.step
    ):
        rule = "a high that is whole steps above its low"
    if rule:
        raise ConfigError(
            f"sweep.space must have {rule} for {path!r}, got {value}; change it in the "
            "file"
        )


def _ends(values: Range | tuple[Any, ...]) -> tuple[Any, ...]:
    """The values to check before any trial: the ends of a range, or all choices."""
    return (values.low, values.high) if isinstance(values, Range) else values


def _axis(path: str, given: Range | tuple[Any, ...], taken: list[Any]) -> Axis:
    if not isinstance(given, Range):
        return Axis(kind="choice", choices=given)
    is_int = all(type(value) is int for value in taken)
    if is_int and not float(given.step).is_integer():
        raise ConfigError(
            f"sweep.space must have whole steps for {path!r}, which is a whole "
            f"number, got {given.step}; leave step out for every number"
        )
    # Optuna steps over whole numbers by 1 at least.
    return Axis(
        kind="int" if is_int else "float",
        low=given.low,
        high=given.high,
        log=given.log,
        step=given.step or int(is_int),
    )


def _check_steps(path: str, axis: Axis) -> None:
    if axis.kind != "choice" and (axis.log or not axis.step):
        raise ConfigError(
            f"sweep.space must have a step or a list of choices for {path!r} with "
            f"sweep.sampler = 'grid', got {'log' if axis.log else 'none'}; add one, "
            "or use another sampler"
        )


def _check_count(axes: Mapping[str, Axis]) -> None:
    count = math.prod(len(axis.values) for axis in axes.values())
    if count > _MOST_VALUES:
        raise ConfigError(
            f"sweep.space must have at most {_MOST_VALUES} combinations with "
            f"sweep.sampler = 'grid', got {count}; take longer steps, or another "
            "sampler"
        )


def _decimal(number: float) -> "decimal.Decimal":
    """The number as it is written, which steps of 0.1 add up to exactly."""
    import decimal  # here, for runs without a sweep

    return decimal.Decimal(repr(number))
