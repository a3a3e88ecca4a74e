"""The trials of a sweep: which one is next, which were killed, which are begun again.

All processes of a sweep share its workdir. What they decide they decide one at a time,
under a lock, and a process holds a lock of each trial that it trains: what is running
but not locked has been killed.
"""

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
import optuna
from etils import epath
from optuna.trial import FrozenTrial, TrialState

from trainer.config import Axis, Config, Settings, SweepConfig
from trainer.runs.variant import Variant
from trainer.storage import locks, workdir
from trainer.sweep import results, storage
from trainer.sweep.pruners import pruner
from trainer.sweep.results import FIRST, KILLS, REASON, REPEATS, SETTINGS

_DECIDING = "sweep.lock"
_RUNNING = "running"  # in the folder of a trial


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """The sweep in a workdir, as one of its processes sees it."""

    settings: SweepConfig
    path: epath.Path  # the workdir
    axes: dict[str, Axis]
    study: Any  # Optuna's
    variant_of: Callable[[str, Settings], Variant]

    def wrap_storage_errors(self) -> contextlib.AbstractContextManager[None]:
        """In the body what goes wrong in the storage is said to the user."""
        return storage.wrap_storage_errors(self.settings.storage, self.path)

    @contextlib.contextmanager
    def deciding(self) -> Iterator[list[FrozenTrial]]:
        """Gives all trials, which no other process changes in the body."""
        with locks.hold(self.path / _DECIDING), self.wrap_storage_errors():
            yield self.study.get_trials(deepcopy=False)

    @property
    def num_trials(self) -> int:
        """The number of trials begun, without those that are begun again."""
        if self.settings.sampler != "grid":
            return self.settings.trials
        return min(self.settings.trials, len(self.grid))

    @property
    def grid(self) -> list[tuple[Any, ...]]:
        """All combinations of values, in the order in which they are tried."""
        points = list(itertools.product(*(axis.values for axis in self.axes.values())))
        order = np.random.default_rng(self.settings.seed).permutation(len(points))
        return [points[i] for i in order]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """A trial that this process is to train."""

    trial: optuna.Trial
    name: str  # of its variant
    settings: Settings
    lock: IO[bytes]


def open_sweep(
    config: Config,
    path: epath.Path,
    all_settings: Callable[[Settings], Settings],
    variant_of: Callable[[str, Settings], Variant],
) -> Sweep:
    """The sweep of `config` in the workdir `path`, begun or gone on with.

    `all_settings` gives those of the run with the settings of a trial.

    Raises:
      ConfigError: the workdir holds another sweep, or its storage does not hold it.
      StorageError: the storage cannot be used.
    """
    settings = config.sweep
    if settings is None:
        raise ValueError("no sweep")
    with locks.hold(path / _DECIDING):
        sweep = Sweep(
            settings=settings,
            path=path,
            axes=settings.axes(all_settings),
            study=_study(config, settings, path),
            variant_of=variant_of,
        )
        with sweep.wrap_storage_errors():
            results.write(path, config, sweep.study)
    return sweep


def _study(config: Config, settings: SweepConfig, path: epath.Path) -> optuna.Study:
    name = results.begun(path, config)
    found = storage.open_storage(settings.storage, path, begun=bool(name))
    with storage.wrap_storage_errors(settings.storage, path):
        if not name:
            workdir.claim(path, config)
            name = storage.new_study(
                found, config.name, is_maximized=settings.is_maximized
            )
        try:
            return optuna.load_study(
                study_name=name, storage=found, pruner=pruner(settings)
            )
        except KeyError:
            raise storage.gone_error(settings.storage, path) from None


def claim(sweep: Sweep) -> Claim | None:
    """The next trial; None where all are over or in other processes."""
    with sweep.deciding() as before:
        _repeat_killed(sweep, before)
        trials = sweep.study.get_trials(deepcopy=False)
        if not any(trial.state == TrialState.WAITING for trial in trials):
            count = sum(FIRST not in trial.user_attrs for trial in trials)
            if count >= sweep.num_trials:
                return None
            if sweep.settings.sampler == "grid":
                point = dict(zip(sweep.axes, sweep.grid[count], strict=True))
                sweep.study.enqueue_trial({k: _category(v) for k, v in point.items()})
        # By its number, so that neither processes nor starts repeat each other.
        sweep.study.sampler = _sampler(sweep.settings, len(trials))
        trial = sweep.study.ask()
        name = results.variant_name(trial)
        lock = locks.try_lock(_lock(sweep, name))
        if lock is None:
            raise RuntimeError(f"{name} is running already")
        settings = {
            path: _suggest(trial, path, axis) for path, axis in sweep.axes.items()
        }
        trial.set_user_attr(SETTINGS, settings)
        return Claim(trial=trial, name=name, settings=settings, lock=lock)


def end(sweep: Sweep, claimed: Claim, state: TrialState, **told: Any) -> None:
    """Tells that a trial has ended: its `value`, or the `reason`."""
    with sweep.deciding(), claimed.lock:
        if "reason" in told:
            claimed.trial.set_user_attr(REASON, told["reason"])
        sweep.study.tell(claimed.trial, told.get("value"), state)


def give_up(sweep: Sweep, claimed: Claim, *, is_failure: bool) -> None:
    """Has a trial repeated that this process does not finish.

    A failure counts as if it were killed; the wish to stop does not.
    """
    with sweep.deciding() as trials, claimed.lock:
        frozen = next(t for t in trials if t.number == claimed.trial.number)
        _repeat(sweep, frozen, kills=int(is_failure))


def num_elsewhere(sweep: Sweep) -> int:
    """The number of trials that are running or waiting."""
    with sweep.deciding() as trials:
        return sum(not trial.state.is_finished() for trial in trials)


def is_over(sweep: Sweep) -> bool:
    """Whether nothing is left to be trained or tested."""
    with sweep.deciding() as trials:
        count = sum(FIRST not in trial.user_attrs for trial in trials)
        is_left = any(not trial.state.is_finished() for trial in trials)
        if is_left or count < sweep.num_trials:
            return False
        best = results.best(sweep.study)
    if best is None:
        return True
    variant = sweep.variant_of(results.variant_name(best), best.user_attrs[SETTINGS])
    return variant.is_evaluated and (sweep.path / workdir.BEST).exists()


def _lock(sweep: Sweep, name: str) -> epath.Path:
    return sweep.path / workdir.CELLS / name / _RUNNING


def _repeat_killed(sweep: Sweep, trials: list[FrozenTrial]) -> None:
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            lock = locks.try_lock(_lock(sweep, results.variant_name(trial)))
            if lock:
                with lock:
                    _repeat(sweep, trial, kills=1)


def _repeat(sweep: Sweep, trial: FrozenTrial, *, kills: int) -> None:
    """Fails a trial that ended too early, and has it begun again within the budget."""
    kills += trial.user_attrs.get(KILLS, 0)
    # First, since nobody would begin it again if this process were killed in between.
    is_repeated = any(
        other.user_attrs.get(REPEATS) == trial.number
        for other in sweep.study.get_trials(deepcopy=False)
    )
    if kills <= sweep.settings.retries and not is_repeated:
        sweep.study.enqueue_trial(
            trial.system_attrs.get("fixed_params", {}) | trial.params,
            user_attrs={
                REPEATS: trial.number,
                FIRST: trial.user_attrs.get(FIRST, trial.number),
                KILLS: kills,
            },
        )
    sweep.study.tell(trial.number, state=TrialState.FAIL)


def _sampler(settings: SweepConfig, number: int) -> optuna.samplers.BaseSampler:
    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    if settings.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)  # of a grid all is given


def _suggest(trial: optuna.Trial, path: str, axis: Axis) -> Any:
    if axis.kind == "choice":
        choices = {_category(choice): choice for choice in axis.choices}
        return choices[trial.suggest_categorical(path, list(choices))]
    if axis.kind == "int":
        low, high, step = int(axis.low), int(axis.high), int(axis.step)
        return trial.suggest_int(path, low, high, step=step, log=axis.log)
    return trial.suggest_float(
        path, axis.low, axis.high, step=axis.step or None, log=axis.log
    )


def _category(choice: Any) -> Any:
    """A choice as Optuna keeps it, which takes no lists."""
    return json.dumps(choice) if isinstance(choice, list) else choice
