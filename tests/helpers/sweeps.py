"""Sweeps whose trials are claimed and ended, without training any."""

import pathlib

from etils import epath
from optuna.trial import TrialState

from tests.helpers import configs
from trainer.config import (
    flatten,
    load,
    resolve,
)
from trainer.sweep import trials


def open_sweep(
    folder: pathlib.Path, *overrides: str, sampler: str = "random", workdir=None
):
    """The sweep of a config that it writes, begun or begun again."""
    path = folder / "sweep.toml"
    path.write_text(configs.SWEEP.replace("SAMPLER", sampler))
    config = load(str(path), overrides)
    return trials.open_sweep(
        config,
        epath.Path(workdir or folder / "workdir"),
        lambda cell: flatten(resolve(load(str(path), overrides, variant=cell))),
        lambda name, cell: None,
    )


def all_of(sweep) -> list:
    """Ends each trial that is left, better than the one before: their settings."""
    found = []
    while claimed := trials.claim(sweep):
        found.append(claimed.settings)
        trials.end(sweep, claimed, TrialState.COMPLETE, value=len(found) / 10)
    return found
