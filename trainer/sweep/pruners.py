"""Pruning: trials that are ended before their time."""

import optuna

from trainer.config import BanditOptions, MedianOptions, SweepConfig


class BanditPruner(optuna.pruners.BasePruner):
    """Ends a trial that is not within a slack of the best one at the same interval.

    The rule is that of Azure ML's BanditPolicy: with a metric of which more is better,
    a trial whose best so far is Y ends where Y + Y * slack_factor is below the best of
    all trials after as many intervals. An interval is a report of a trial.
    """

    def __init__(self, options: BanditOptions) -> None:
        self._options = options

    def prune(self, study: optuna.study.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether `trial` is to end after its latest report."""
        count = len(trial.intermediate_values)
        options = self._options
        if count < options.delay_evaluation or count % options.evaluation_interval:
            return False
        is_maximized = study.direction == optuna.study.StudyDirection.MAXIMIZE
        best = max if is_maximized else min

        def best_until_now(other: optuna.trial.FrozenTrial) -> float:
            return best(value for _, value in _reports(other)[:count])

        others = [
            best_until_now(other)
            for other in study.get_trials(deepcopy=False)
            # Of what failed another trial may be the repetition.
            if other.number != trial.number
            and other.state != optuna.trial.TrialState.FAIL
            and other.intermediate_values
        ]
        if not others:
            return False
        own, slack = best_until_now(trial), 1 + options.slack_factor
        if is_maximized:
            return own * slack < best(others)
        return own > best(others) * slack


def pruner(settings: SweepConfig) -> optuna.pruners.BasePruner:
    """The pruner that the sweep section names."""
    options = settings.pruner_options
    if isinstance(options, BanditOptions):
        return BanditPruner(options)
    if isinstance(options, MedianOptions):
        return optuna.pruners.MedianPruner(
            n_startup_trials=options.startup_trials,
            n_warmup_steps=options.warmup_steps,
        )
    return optuna.pruners.NopPruner()


def _reports(trial: optuna.trial.FrozenTrial) -> list[tuple[int, float]]:
    return sorted(trial.intermediate_values.items())
