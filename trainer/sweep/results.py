"""Results of a sweep so far, in sweep.json, and its best settings in best.toml."""

import dataclasses
import json
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from etils import epath
from optuna.trial import FrozenTrial, TrialState

from trainer import report
from trainer.config import Config, ConfigError, Override, read_settings, resolve
from trainer.config.toml_text import toml_text
from trainer.storage import files, seal, workdir
from trainer.sweep import storage

# What Optuna keeps of a trial for us.
SETTINGS = "settings"  # as the config has them, lists and all
REASON = "reason"  # why it came to nothing
REPEATS = "repeats"  # the number of the trial that this one repeats
FIRST = "first"  # the number of the first of those that repeat each other
KILLS = "kills"  # how many of them were killed

_MIN_FOR_IMPORTANCE = 4  # values that differ

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def begun(path: epath.Path, config: Config) -> str:
    """The name in the storage of the sweep that the workdir holds; "" for none.

    Raises:
      ConfigError: it is one of another config, space or metric.
      StorageError: its journal was cut or changed since.
    """
    if not files.exists(path / workdir.SWEEP):
        return ""
    workdir.check_same(path, config)
    seeds = workdir.read_config(path).get("seeds")
    if seeds != list(config.seeds):
        raise ConfigError(
            f"seeds must be those of the sweep in {path}, {seeds}, whose trials are "
            f"compared by their means, got {list(config.seeds)}; set them back, or "
            "choose another --workdir"
        )
    sweep = report.read_sweep(path)
    storage.check(path, sweep.get("journal"))
    for name, value in _search_settings(config).items():
        if sweep[name] != value:
            raise ConfigError(
                f"sweep.{name} must be that of the sweep in {path}, "
                f"{json.dumps(sweep[name])}, got {json.dumps(value)}; set it back, or "
                "choose another --workdir"
            )
    return str(sweep["study"])


def write(path: epath.Path, config: Config, study: optuna.Study) -> None:
    """Replaces sweep.json in the workdir `path`; one process at a time may."""
    trials = study.get_trials(deepcopy=False)
    found = best(study)
    files.write_json(
        path / workdir.SWEEP,
        seal.add_checksum(
            {
                "name": config.name,
                "study": study.study_name,
                **_search_settings(config),
                "asked": asked(config),
                "trials": [entry(trial) for trial in trials],
                "best": entry(found) if found else None,
                "importance": _importance(study),
                "journal": storage.read_journal(path),
            }
        ),
    )


def variant_name(trial: FrozenTrial) -> str:
    """The variant of a trial, which those that repeat it go on with."""
    return f"trial-{trial.user_attrs.get(FIRST, trial.number):03d}"


def best(study: optuna.Study) -> FrozenTrial | None:
    """The best of the complete trials, if there is any."""
    states = (TrialState.COMPLETE,)
    return study.best_trial if study.get_trials(False, states) else None


def write_best(
    path: epath.Path,
    file: str,
    overrides: Sequence[Override],
    trial: FrozenTrial,
    *,
    metric: str,
) -> None:
    """Writes best.toml: what `file` and its overrides say, with the best settings."""
    settings = read_settings(file, overrides, variant=trial.user_attrs[SETTINGS])
    files.write_text(
        path / workdir.BEST,
        f"# The best trial of a sweep, number {trial.number}: {metric} = "
        f"{trial.value:.6g} on the validation split.\n\n{toml_text(settings)}",
    )


def check(path: epath.Path) -> None:
    """Looks for a sweep that is over without a best trial.

    Raises:
      FloatingPointError: its trials diverged.
      ConfigError: they could not be run, or were killed too often.
    """
    sweep = report.read_sweep(path)
    states = [trial["status"] for trial in sweep["trials"]]
    if sweep["best"] or {"running", "waiting"} & set(states):
        return
    reasons = [trial["reason"] for trial in sweep["trials"] if trial.get("reason")]
    sentence = (
        f"no trial of {len(states)} in {path} is complete, and so there is no best "
        f"one: {reasons[0] if reasons else 'all were killed'}; give sweep.space other "
        "values, with another --workdir"
    )
    raise (FloatingPointError if "diverged" in states else ConfigError)(sentence)


def entry(trial: FrozenTrial) -> dict[str, Any]:
    """The entry of a trial in sweep.json."""
    reason = trial.user_attrs.get(REASON)
    status = _STATES[trial.state]
    if reason:  # what was killed had no time to say one
        status = "diverged" if status == "pruned" else "refused"
    steps = trial.intermediate_values
    return {
        "number": trial.number,
        "cell": variant_name(trial),
        "settings": trial.user_attrs.get(SETTINGS, {}),
        "status": status,
        "value": trial.value if status == "complete" else None,
        "reported": {str(step): value for step, value in sorted(steps.items())},
        "repeats": trial.user_attrs.get(REPEATS),
        "reason": reason,
    }


def asked(config: Config) -> dict[str, Any]:
    """The section without its storage, whose address may hold a password."""
    section = dict(resolve(config)["sweep"])
    del section["storage"]
    return section


def _search_settings(config: Config) -> dict[str, Any]:
    """The part of the config that stays the same while a sweep goes on, as JSON."""
    if config.sweep is None:
        raise ValueError("no sweep")
    space = {
        path: dataclasses.asdict(values)
        if dataclasses.is_dataclass(values)
        else list(values)
        for path, values in config.sweep.space.items()
    }
    return {"space": space, "metric": config.sweep.metric}


def _importance(study: optuna.Study) -> dict[str, float]:
    """The share of each setting in how well trials do (Watanabe et al. 2023)."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in trials}) < _MIN_FOR_IMPORTANCE:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is new
        shares = optuna.importance.get_param_importances(study)
    return {path: float(share) for path, share in shares.items()}
