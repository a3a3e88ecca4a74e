"""The evaluate stage: the test split, read once, and every model's metrics on it."""

import dataclasses
import functools

import numpy as np

from trainer import data
from trainer.session import Session, suspicions
from trainer.session.networks import Networks
from trainer.session.predictions import predictions
from trainer.session.qualification import qualifications
from trainer.stages.evaluate import beside_results, predictions_archive, timing
from trainer.stages.evaluate.result_entries import Metrics, entry, gain
from trainer.storage import files, folders, seal, workdir
from trainer.train import events


def evaluate(session: Session) -> None:
    """Writes predictions.npz and results.json, unless they are there.

    What was evaluated with another evaluate section is evaluated again.
    """
    is_done = functools.partial(workdir.is_evaluated, session.path, session.config)
    if session.devices.workers.broadcast(is_done):
        return
    test = session.datasets.read(session.config.data.test_split)
    twice = suspicions.duplicates(session.config, session.datasets, test)
    found: Metrics = {"duplicates": twice} if twice else {}
    if weights := session.datasets.class_weights:
        names = session.datasets.source.class_names
        found["class_weights"] = dict(zip(names, weights, strict=True))
    models: dict[str, Metrics] = {}
    logits: dict[str, np.ndarray] = {}
    for name, came_to in predictions(session.networks, test):
        # The teacher comes first, and the others are compared with its predictions.
        models[name] = entry(
            came_to,
            test.labels,
            logits.get("teacher"),
            excluded=session.config.data.exclude_labels,
        )
        logits[name] = came_to[0].logits["best"]
        del came_to  # before the next are made: they may fill the memory
    if session.config.evaluate.inference_times is True:
        timed = functools.partial(timing.inference_times, session.networks, test)
        for role, times in session.devices.workers.broadcast(timed).items():
            models[role] |= times
    # All workers take part in these predictions.
    found |= _as_they_are(session.networks)
    if session.devices.workers.is_chief:
        _write(session, test, models, logits, found)
        if session.config.evaluate.inference_times == "auto":
            timing.write(session.networks, test)


def _as_they_are(networks: Networks) -> Metrics:
    """The validation accuracy of each teacher that is used as it is."""
    found = [dataclasses.asdict(each) for each in qualifications(networks)]
    return {"teacher_validation": found} if found else {}


def _write(
    session: Session,
    test: data.Examples,
    models: dict[str, Metrics],
    logits: dict[str, np.ndarray],
    found: Metrics,
) -> None:
    """Writes both files, with what else was `found`."""
    session.devices.hold.check()
    # A page of other results would make the run look finished.
    page = session.path / workdir.REPORT
    with files.wrap_write_errors(page):
        page.unlink(missing_ok=True)
    beside_results.write(session, test, logits)
    predictions_archive.write(session.datasets, test, logits)
    results = {
        "name": session.config.name,
        "models": models,
        **found,
        "select_by": session.config.student.train.select_by,
        "gain": {"errors": gain(models["student"], models["baseline"])},
        "evaluate": session.config.evaluate.of_results,
        "files": {
            workdir.PREDICTIONS: folders.checksum(session.path / workdir.PREDICTIONS)
        },
        "histories": {
            str(path.relative_to(session.path)): events.checksum(
                events.read_metrics(path)
            )
            for role in workdir.ROLES
            for path in sorted(files.walk(session.path / role))
            if path.name == workdir.METRICS
        },
    }
    # Last: it says that the stage is done.
    files.write_json(session.path / workdir.RESULTS, seal.add_checksum(results))
