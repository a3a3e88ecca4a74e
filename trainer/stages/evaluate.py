"""The evaluate stage: the test split, read once, and every model's metrics on it."""

import dataclasses
import functools
import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
from etils import epath

from trainer import checkpoint, data, events, files
from trainer import evaluate as metrics
from trainer.config import EnsembleConfig
from trainer.stages.session import Session
from trainer.workdir import (
    CHECKPOINTS,
    FINISHED,
    LAST,
    METRICS,
    PREDICTIONS,
    RESULTS,
)

_NUM_PICTURED = 4  # test images kept for the report

Metrics = dict[str, Any]


def evaluate(session: Session) -> None:
    """Writes predictions.npz and results.json, unless they are there."""
    written = [session.path / name for name in (PREDICTIONS, RESULTS)]
    if session.workers.from_chief(lambda: all(path.exists() for path in written)):
        return
    test = session.read(session.config.data.test_split)
    models: dict[str, Metrics] = {}
    logits: dict[str, np.ndarray] = {}
    for name, runs in _runs(session, test):
        # The teacher comes first, and the others are compared with its answers.
        models[name] = _entry(runs, test.labels, logits.get("teacher"))
        logits[name] = runs[0].logits["best"]
        del runs  # before the next are made: they may fill the memory
    if session.workers.is_chief:
        _write(session, test, models, logits)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    """What one training came to, or an ensemble of them, which has no seed or step."""

    seed: int | None
    parameters: int
    steps: dict[str, int | None]  # of the "last" and the "best" model
    logits: dict[str, np.ndarray]  # of the same, of the test split [M, C]
    rate: float | None  # median examples a second of the training


def _runs(session: Session, test: data.Examples) -> Iterator[tuple[str, list[_Run]]]:
    """The runs of each entry of the results, the teacher's first."""
    config = session.config
    networks = [
        _run(session, role, network.seed, test)
        for role, network in config.teachers.items()
    ]
    if isinstance(config.teacher, EnsembleConfig):
        yield "teacher", [_ensemble(session, networks)]
        yield "member", networks
    else:
        yield "teacher", networks
    del networks
    roles = ("student", "finetune", "baseline")
    for role in roles if config.finetune else ("student", "baseline"):
        yield role, [_run(session, role, seed, test) for seed in config.seeds]


def _ensemble(session: Session, members: list[_Run]) -> _Run:
    return _Run(
        seed=None,
        parameters=sum(member.parameters for member in members),
        steps={"last": None, "best": None},
        logits={
            kind: session.together([member.logits[kind] for member in members])
            for kind in ("last", "best")
        },
        rate=None,
    )


def _run(session: Session, role: str, seed: int, test: data.Examples) -> _Run:
    folder = session.folder(role, seed)
    model = session.build(role, seed)
    predict = session.predictor(model, test)
    stage = "teacher" if role in session.config.teachers else role
    logits = {}
    for kind, file in (("last", LAST), ("best", FINISHED)):
        session.load(model, folder / file, stage=stage)
        logits[kind] = predict()
    return _Run(
        seed=seed,
        parameters=model.count_params(),
        steps=session.workers.from_chief(functools.partial(_steps, folder)),
        logits=logits,
        rate=events.median_throughput(folder / METRICS),
    )


def _write(
    session: Session,
    test: data.Examples,
    models: dict[str, Metrics],
    logits: dict[str, np.ndarray],
) -> None:
    _write_predictions(session, test, logits)
    results = {
        "name": session.config.name,
        "models": models,
        "gain": {"errors": _gain(models["student"], models["baseline"])},
    }
    # Last: it says that the stage is done.
    files.write_json(session.path / RESULTS, results)


def _entry(
    runs: list[_Run], labels: np.ndarray, teacher_logits: np.ndarray | None
) -> Metrics:
    """The entry of one role in the results."""
    seeds: list[Metrics] = []
    for run in runs:
        measured: dict[str, Metrics] = {
            kind: {"step": run.steps[kind]} | _measured(logits, labels, teacher_logits)
            for kind, logits in run.logits.items()
        }
        seeds.append({"seed": run.seed, **measured})
    selected = metrics.class_metrics(runs[0].logits["best"], labels)
    return {
        "parameters": round(statistics.fmean(run.parameters for run in runs)),
        "train_examples_per_sec": _median([run.rate for run in runs]),
        "test": seeds[0]["best"] | selected,
        "seeds": seeds,
        **_over_seeds([seed["best"] for seed in seeds]),
    }


def _steps(folder: epath.Path) -> dict[str, int | None]:
    """Of the last and of the best model of the training in `folder`."""
    position = checkpoint.latest_position(folder / CHECKPOINTS)
    return {"last": position.step, "best": position.best_step}


def _over_seeds(best: list[Metrics]) -> Metrics:
    names = [name for name in best[0] if name != "step"]
    columns = {name: [metrics[name] for metrics in best] for name in names}
    return {
        "mean": {name: statistics.fmean(values) for name, values in columns.items()},
        "std": {name: _spread(values) for name, values in columns.items()},
    }


def _median(rates: list[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return statistics.median(known) if known else None


def _measured(
    logits: np.ndarray, labels: np.ndarray, teacher_logits: np.ndarray | None
) -> Metrics:
    measured = metrics.classification_metrics(logits, labels)
    if teacher_logits is None:
        return measured
    return measured | metrics.teacher_metrics(logits, teacher_logits)


def _spread(values: list[float]) -> float | None:
    """The sample standard deviation; of one value there is none."""
    return statistics.stdev(values) if len(values) > 1 else None


def _gain(student: Metrics, baseline: Metrics) -> Metrics:
    """Baseline errors minus student errors, seed by seed."""
    gains = [
        float(alone["best"]["errors"] - taught["best"]["errors"])
        for alone, taught in zip(baseline["seeds"], student["seeds"], strict=True)
    ]
    spread = _spread(gains)
    return {
        "per_seed": gains,
        "mean": statistics.fmean(gains),
        "standard_error": None if spread is None else spread / len(gains) ** 0.5,
    }


def _write_predictions(
    session: Session, test: data.Examples, logits: dict[str, np.ndarray]
) -> None:
    """The selected models' answers, and some images on which the teacher hesitates."""
    rows = np.zeros(0, np.int64)
    if len(session.source.input_shape) == 3:  # an image, and no row of a table
        rows = _telling_rows(logits["teacher"], test.labels)
    path = session.path / PREDICTIONS
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            labels=test.labels,
            ids=test.ids,
            class_names=np.array(session.source.class_names),
            example_rows=rows,
            example_images=_pictures(test.read(rows)),
            **{f"{role}_logits": values for role, values in logits.items()},
        )


def _pictures(images: np.ndarray) -> np.ndarray:
    """What can be shown of them: the colours, or the first channel."""
    return images[..., :3] if images.shape[-1] >= 3 else images[..., :1]


def _telling_rows(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of different classes, classified rightly, those with the smallest lead."""
    ordered = np.sort(logits, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    chosen: dict[int, int] = {}
    for row in np.argsort(lead):
        if logits[row].argmax() == labels[row]:
            chosen.setdefault(int(labels[row]), int(row))
    return np.array(list(chosen.values())[:_NUM_PICTURED], np.int64)
