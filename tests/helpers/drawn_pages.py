"""A page of each kind, of runs that were not trained."""

import json
import pathlib

from etils import epath

from tests.helpers.finished_run import write_beside, write_workdir
from tests.helpers.repository import REPOSITORY
from tests.helpers.results import model
from trainer import report
from trainer.config import Config, load, recorded_settings
from trainer.sweep import results as sweep_results

HOSTILE = "<script>alert('$x$')</script><img src=x onerror=alert(1)>"
SPACE = {
    "distill.temperature": {"low": 1, "high": 20, "log": True, "step": 0},
    "student.options.hidden_sizes": [[16], [32, 32]],
}


SWEEP = f"""
[sweep]
trials = 5
storage = "sqlite:////secret@host"

[sweep.space]
"distill.temperature" = {{low = 1, high = 20, log = true}}
"student.options.hidden_sizes" = {json.dumps(SPACE["student.options.hidden_sizes"])}
"""
STUDY = """
[study.grid]
"distill.temperature" = [1.0, 4.0, 16.0]
"distill.alpha" = [0.5, 0.9]
"""
WATCH = """
[data.unlabeled]
dataset = "folder:inbox"

[registry]
root = "registry"

[watch]
min_new = 100
"""


def write_config(folder: pathlib.Path, more: str, *, data: str = "") -> Config:
    """The config that such a workdir keeps: that of `mnist_mini` and `more`.

    `data` are lines of its section.
    """
    file = folder / "config.toml"
    whole = (REPOSITORY / "configs" / "mnist_mini.toml").read_text()
    file.write_text(whole.replace("[data]", f"[data]\n{data}") + more)
    settings = load(str(file))
    (folder / "config.json").write_text(json.dumps(recorded_settings(settings)))
    return settings


def trial(number: int, settings: tuple, status: str, **more) -> dict:
    """A trial of a sweep, as sweep.json has it."""
    return {
        "number": number,
        "cell": f"trial-{number:03d}",
        "settings": dict(zip(SPACE, settings, strict=False)),
        "status": status,
        "value": None,
        "reported": {},
        "repeats": None,
        "reason": None,
    } | more


TRIALS = [
    trial(0, (4.0, [16]), "complete", value=0.75, reported={"9": 0.5, "10": 0.75}),
    trial(1, (8.0, [32, 32]), "pruned", reported={"9": 0.25, "10": 0.125}),
    trial(2, (2.0, [16]), "diverged", reason="the loss is <nan>"),
    trial(3, (), "failed"),
    trial(4, (16.0, [32, 32]), "complete", value=0.5, repeats=3),
]


def write_sweep(folder: pathlib.Path) -> None:
    """A sweep of five trials, of which two came to an end."""
    settings = write_config(folder, SWEEP)
    sweep = {
        "name": "small",
        "asked": sweep_results.asked(settings),
        "study": "small-1",
        "space": SPACE,
        "metric": "eval/accuracy",
        "trials": TRIALS,
        "best": TRIALS[0],
        "importance": {"distill.temperature": 1.0},
    }
    (folder / "sweep.json").write_text(json.dumps(sweep))


def write_study(folder: pathlib.Path) -> None:
    """A study of six cells, one of which diverged."""
    write_config(folder, STUDY)
    cells = []
    for i in range(6):
        temperature, alpha = (1.0, 4.0, 16.0)[i % 3], (0.5, 0.9)[i // 3]
        models = {
            role: model(1000, mean=_metrics(errors), std=_metrics(2.0), num_seeds=3)
            | {"seeds": 3}
            for role, errors in (
                *(("teacher", 20.0), ("student", 80.0 - 5 * i), ("baseline", 95.0)),
            )
        }
        gain = {"per_seed": [1.0] * 3, "mean": 15.0 + 5 * i, "standard_error": 2.5}
        is_over = i == 5
        cells.append(
            {
                "name": f"temperature={temperature:g},alpha={alpha:g}",
                "settings": {
                    "distill.temperature": temperature,
                    "distill.alpha": alpha,
                },
                "status": "diverged" if is_over else "finished",
                "models": {} if is_over else models,
                "gain": None if is_over else {"errors": gain},
            }
        )
    grid = {"distill.temperature": [1.0, 4.0, 16.0], "distill.alpha": [0.5, 0.9]}
    study = {"name": "small", "grid": grid, "cells": cells}
    (folder / "study.json").write_text(json.dumps(study))


def write_watch_config(folder: pathlib.Path) -> None:
    """The config of a watch."""
    write_config(folder, WATCH, data="skip_corrupt = true")


def write_watch(folder: pathlib.Path) -> None:
    """A watch of three batches, one registered, one refused, one open."""
    write_watch_config(folder)
    batches = [
        {
            "number": number,
            "status": status,
            "num_images": 100 * number,
            "set_aside": {"new/torn.png": "damaged"} if number == 2 else {},
            "accuracy": accuracy,
            "reference": "digits@1" if status == "registered" else "",
            "reason": "digits@1 is <better>" if status == "refused" else "",
        }
        for number, status, accuracy in (
            *((1, "registered", 0.875), (2, "refused", 0.8125), (3, "open", None)),
        )
    ]
    (folder / "watch.json").write_text(json.dumps({"batches": batches}))


def write_all(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Draws a page of each kind; returns their paths."""
    options = {
        "run": {"class_names": [str(digit) for digit in range(10)], "num_seeds": 3},
        "photos": {
            "class_names": [f"species of a rare bird {i}" for i in range(50)],
            "channels": 3,
        },
        "hostile": {"class_names": [HOSTILE, "$\\frac{", "a & b"], "num_images": 0},
    }
    for kind, more in options.items():
        (folder / kind).mkdir()
        write_workdir(folder / kind, **more)
        if kind != "hostile":
            write_beside(folder / kind, channels=more.get("channels", 1))
        report.write(epath.Path(folder / kind))
    whole = {"study": write_study, "sweep": write_sweep, "watch": write_watch}
    drawn = {
        "study": report.write_study,
        "sweep": report.write_sweep,
        "watch": report.write_watch,
    }
    for kind, write in whole.items():
        (folder / kind).mkdir()
        write(folder / kind)
        drawn[kind](epath.Path(folder / kind))
    names = [str(folder / kind) for kind in ("run", "photos")]
    report.compare(names, epath.Path(folder / "comparison"))
    kinds = (*options, *whole, "comparison")
    return {kind: folder / kind / "report" / "index.html" for kind in kinds}


def _metrics(errors: float) -> dict[str, float]:
    return {
        "examples": 2000,
        "errors": errors,
        "accuracy": 1 - errors / 2000,
        "nll": 0.1,
        "ece": 0.01,
        "agreement": 0.95,
    }
