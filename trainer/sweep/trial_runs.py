"""The trials of a sweep that this process takes, one after another."""

import contextlib
import dataclasses
import functools
import statistics
from collections.abc import Sequence

import optuna
from optuna.trial import TrialState

from trainer import console, optimizers, report, stages
from trainer.cluster.termination import StoppedError
from trainer.config import Config, ConfigError, Override, Settings, label_of
from trainer.config.selection import TITLE
from trainer.runs import variant_session
from trainer.runs.variant import Variant
from trainer.session import Session
from trainer.session.predictions import steps
from trainer.session.selection import check_metric
from trainer.stages.check import check
from trainer.stages.soft_targets import choice
from trainer.stages.student import student
from trainer.storage import files, locks, workdir
from trainer.sweep import results, trials
from trainer.sweep.trials import Claim, Sweep
from trainer.train.checkpoint import latest_progress, newest_intact
from trainer.train.events import read_metrics

_SHARED = "sharing.lock"  # of what all trials have from the teacher


def run(
    session: Session, sweep: Sweep, file: str, overrides: Sequence[Override]
) -> None:
    """Trains trials until none is left, and tests the best one if it ends the last.

    `session` is that of the whole; `file` and `overrides` are its config.

    Raises:
      ConfigError, DataError: the run cannot be done; nothing is trained then.
      StoppedError: the trial that was being trained is left to be begun again.
    """
    with _sharing(sweep):
        session, sweep = _settle_soft_targets(session, sweep)
        whole = session.beside(session.config, session.path)
        check(whole)
        metric = sweep.settings.metric.removeprefix(TITLE)
        check_metric(whole.networks, metric, setting="sweep.metric")
        variant_session.train_teacher(session)
    while claimed := trials.claim(sweep):
        variant_session.forget_models()
        _finish(session, sweep, claimed)
        _write(session.config, sweep)
    variant_session.forget_models()
    left = trials.num_elsewhere(sweep)
    if left:
        console.log(f"{left} trials run in other processes; the last tests the best")
        return
    _test(session, sweep, file, overrides)


def _settle_soft_targets(session: Session, sweep: Sweep) -> tuple[Session, Sweep]:
    """The sweep with one choice for all trials, where its config leaves it open."""
    config, path = session.config, session.path
    if config.distill.soft_targets != "auto":
        return session, sweep
    num_students = sweep.num_trials * len(config.seeds)
    # A session of its own, so that what it loads is not kept.
    whole = session.beside(config, path)
    whole = choice.settle(whole, lambda: [choice.demand(whole, num_students)])
    session = session.beside(whole.config, path)

    def variant_of(name: str, settings: Settings) -> Variant:
        variant = sweep.variant_of(name, settings)
        find_demand = functools.partial(variant_session.demand, session, variant)
        return variant_session.settle(session, variant, find_demand)

    return session, dataclasses.replace(sweep, variant_of=variant_of)


def _sharing(sweep: Sweep) -> contextlib.AbstractContextManager[None]:
    """In the body no other process trains the teacher or has it predict."""
    return locks.hold(
        sweep.path / _SHARED,
        on_waiting=lambda: console.log(
            "another process is at what the trials share; this one waits for it"
        ),
    )


def _finish(session: Session, sweep: Sweep, claimed: Claim) -> None:
    """Trains a trial, and tells Optuna what came of it."""
    paths = list(claimed.settings)
    text = ", ".join(
        f"{label_of(path, paths)} {report.text_of(value)}"
        for path, value in claimed.settings.items()
    )
    console.log(f"trial {claimed.trial.number}: {text}")
    try:
        variant = sweep.variant_of(claimed.name, claimed.settings)
        with variant_session.hold_variant(session, variant) as holder:
            value = _run_trial(holder, sweep, claimed, variant)
    except optuna.TrialPruned as error:
        console.log(f"trial {claimed.trial.number}: {error}")
        trials.end(sweep, claimed, TrialState.PRUNED)
    except (FloatingPointError, ConfigError) as error:
        console.log(f"trial {claimed.trial.number}: {error}")
        # A trial that diverged is the worst there is, one that is refused is none.
        has_diverged = isinstance(error, FloatingPointError)
        state = TrialState.PRUNED if has_diverged else TrialState.FAIL
        trials.end(sweep, claimed, state, reason=str(error))
    except BaseException as error:
        is_wish = isinstance(error, StoppedError | KeyboardInterrupt)
        with contextlib.suppress(files.StorageError):
            trials.give_up(sweep, claimed, is_failure=not is_wish)
        raise
    else:
        trials.end(sweep, claimed, TrialState.COMPLETE, value=value)


def _run_trial(
    session: Session, sweep: Sweep, claimed: Claim, variant: Variant
) -> float:
    """The metric of a trial, whose students are trained first.

    Raises:
      optuna.TrialPruned: it is not worth going on with.
      FloatingPointError, ConfigError: it diverged, or cannot be run.
    """
    workdir.claim(variant.path, variant.config)
    asked = stages.select_stages(variant.config)
    with _sharing(sweep):
        own = variant_session.open_variant(session, variant)
        stages.run(own, asked[: asked.index("student")], whole=False)
    _tell_again(sweep, claimed, variant)
    last_step = optimizers.num_steps(
        variant.config.student.train, num_examples=len(own.datasets.transfer)
    )
    follow = functools.partial(_follow, sweep, claimed.trial, last_step)
    student(own, follow=follow)
    return statistics.fmean(
        _selected_metric(variant, seed, sweep.settings.metric)
        for seed in variant.config.seeds
    )


def _follow(
    sweep: Sweep,
    trial: optuna.Trial,
    last_step: int,
    step: int,
    metrics: dict[str, float],
) -> None:
    """Reports an evaluation of the first seed, after which the trial may end."""
    if sweep.settings.metric not in metrics:
        return
    with sweep.wrap_storage_errors():
        trial.report(metrics[sweep.settings.metric], step)
        is_over = step < last_step and trial.should_prune()
    if is_over:
        raise optuna.TrialPruned(f"pruned after step {step} of {last_step}")


def _tell_again(sweep: Sweep, claimed: Claim, variant: Variant) -> None:
    """Reports what was evaluated before the trial was begun again."""
    folder = workdir.training_folder(variant.path, "student", variant.config.seeds[0])
    newest_intact(folder / workdir.CHECKPOINTS)  # as the training will do
    position = latest_progress(folder / workdir.CHECKPOINTS)
    kept = position.step if position.is_closed else position.step - 1
    with sweep.wrap_storage_errors():
        for line in read_metrics(folder / workdir.METRICS):
            if line["step"] <= kept and sweep.settings.metric in line:
                claimed.trial.report(line[sweep.settings.metric], line["step"])


def _selected_metric(variant: Variant, seed: int, metric: str) -> float:
    """The metric of the student of a seed at the step that was selected."""
    folder = workdir.training_folder(variant.path, "student", seed)
    best_step = steps(folder)["best"]
    lines = read_metrics(folder / workdir.METRICS)
    return float(next(line[metric] for line in lines if line["step"] == best_step))


def _test(
    session: Session, sweep: Sweep, file: str, overrides: Sequence[Override]
) -> None:
    """Finishes the run of the best trial: its baseline, and both on the test split."""
    best = results.best(sweep.study)
    if best is None:
        return
    settings, metric = best.user_attrs[results.SETTINGS], sweep.settings.metric
    with _sharing(sweep):
        results.write_best(sweep.path, file, overrides, best, metric=metric)
        variant = sweep.variant_of(results.variant_name(best), settings)
        if not variant.is_evaluated:
            with variant_session.hold_variant(session, variant) as holder:
                own = variant_session.open_variant(holder, variant)
                stages.run(own, whole=True)
    _write(session.config, sweep)


def _write(config: Config, sweep: Sweep) -> None:
    with sweep.deciding():
        results.write(sweep.path, config, sweep.study)
