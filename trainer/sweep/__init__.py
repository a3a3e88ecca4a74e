"""Trials of a run whose settings Optuna chooses: `python -m trainer sweep`.

A trial is a variant in the workdir, trained and judged on the validation split.
Processes that share the workdir share the trials. `trial_runs` loads TensorFlow,
`storage`, `pruners` and `trials` Optuna.
"""

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from etils import epath

from trainer import report
from trainer.cluster import tf_config
from trainer.config import (
    Config,
    ConfigError,
    Override,
    Settings,
    flatten,
    load,
    resolve,
)
from trainer.runs import start
from trainer.runs.variant import Variant, share_teacher
from trainer.storage import files, kinds, locks, workdir

if TYPE_CHECKING:
    from trainer.session import Session

_DRAWING = "report.lock"


def run(
    file: str, overrides: Sequence[Override], settings: Config, path: epath.Path
) -> str:
    """Trains the trials that are left, tests the best one, and draws the page.

    `settings` are those of `file` with its `overrides`, `path` is the workdir. Returns
    what came of it, as text.

    Raises:
      ConfigError: it is no sweep, the workdir holds something else, the storage is not
        that of this sweep, or no trial came to an end.
      FloatingPointError: all trials that came to an end diverged.
      StorageError: the storage cannot be used.
    """
    _check(file, settings, path)
    from trainer.sweep import results, trials

    def variant_of(name: str, chosen: Settings) -> Variant:
        one = load(file, overrides, variant=chosen)
        return Variant(
            name=name,
            settings=chosen,
            config=share_teacher(one, settings, path),
            path=path / workdir.CELLS / name,
        )

    def all_settings(chosen: Settings) -> Settings:
        return flatten(resolve(load(file, overrides, variant=chosen)))

    sweep = trials.open_sweep(settings, path, all_settings, variant_of)
    if not trials.is_over(sweep):
        with _session(settings, path) as session:
            # Loads TensorFlow.
            from trainer.sweep import trial_runs

            trial_runs.run(session, sweep, file, overrides)
    _draw(path)
    results.check(path)
    return outcome(path)


@contextlib.contextmanager
def _session(settings: Config, path: epath.Path) -> Iterator["Session"]:
    # Processes share the sweep; each holds the trial that it trains.
    with (
        start.begun(settings, path, holds=False) as begun,
        begun.session("sweep", None, is_counted=False) as session,
    ):
        yield session


def redraw(path: epath.Path) -> str:
    """Writes the page of the sweep in the workdir `path` anew; returns its text."""
    _draw(path)
    return outcome(path)


def outcome(path: epath.Path) -> str:
    """The tables of the trials and of the best one's test, and where the page is."""
    sweep = report.read_sweep(path)
    text = [report.render_sweep(sweep)]
    if sweep["best"]:
        tested = path / workdir.CELLS / sweep["best"]["cell"]
        if files.exists(tested / workdir.RESULTS):
            text += ["", report.render(report.read_results(tested))]
    if files.exists(path / workdir.BEST):
        text.append(f"best: {path / workdir.BEST}")
    if files.exists(path / workdir.REPORT):
        text.append(f"report: {path / workdir.REPORT}")
    return "\n".join(text)


def refuse_cluster(own: tf_config.Cluster | None) -> None:
    """A trial is trained by one process.

    Raises:
      ClusterError: the process is one of several workers.
    """
    if own:
        raise tf_config.ClusterError(
            "sweep must run outside of a cluster, since a trial is trained by one "
            f"process, got TF_CONFIG with {own.size} workers; start the same command "
            "several times, each without TF_CONFIG: they share the trials"
        )


def _check(file: str, settings: Config, path: epath.Path) -> None:
    if not settings.sweep:
        raise ConfigError(
            f"{file} must have a section [sweep.space] for the sweep command, got "
            'none; add one, such as "distill.temperature" = {low = 1.0, high = 20.0}'
        )
    if not importlib.util.find_spec("optuna"):
        raise ConfigError(
            "sweep must have Optuna, got no such package; run pip install '.[sweep]'"
        )
    if files.is_remote(path):
        raise ConfigError(
            f"--workdir must be on a disk for a sweep, got {path}, where processes "
            "cannot keep apart; choose a folder on a disk, which machines may share"
        )
    kinds.check_kind(path, workdir.SWEEP, owner="a sweep")
    # Before anything is left there.
    workdir.check(path, settings)


def _draw(path: epath.Path) -> None:
    # Processes that end at the same time draw one after another.
    with locks.hold(path / _DRAWING):
        report.write_hparams(path)
        if report.is_drawable():
            report.write_sweep(path)
        else:
            report.tell_undrawn()


__all__ = ["outcome", "redraw", "refuse_cluster", "run"]
