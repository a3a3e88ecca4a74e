"""Outcomes of a run's trainings: each model's predictions of the test split."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
from etils import epath

from trainer import console, data, models
from trainer.config import Config, EnsembleConfig
from trainer.config.selection import TITLE
from trainer.evaluation import class_bias, metrics
from trainer.session.datasets import Datasets
from trainer.session.imported import Imported
from trainer.session.networks import Networks
from trainer.storage.workdir import CHECKPOINTS, FINISHED, LAST, METRICS
from trainer.train import checkpoint, checkpoint_file, events
from trainer.train.early_stopping import EarlyStopping


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelPredictions:
    """The outcome of one training, or of an ensemble, which has no seed or step.

    A teacher that is elsewhere has neither, and nobody knows its parameters.

    The dictionaries have an entry for the "last" and one for the "best" model.
    """

    seed: int | None
    parameters: int | None
    steps: dict[str, int | None]
    logits: dict[str, np.ndarray]  # of the test split [M, C]
    weights: str  # fingerprint of the "best" model
    rate: float | None  # median examples a second of the training
    # Of the validation split [M, C], where they are asked for to find a class bias.
    validation: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # On the logits of data.exclude_labels; empty where they are as trained.
    biases: dict[str, float] = dataclasses.field(default_factory=dict)


def predictions(
    networks: Networks, test: data.Examples
) -> Iterator[tuple[str, list[ModelPredictions]]]:
    """The outcomes of each entry of the results, the teacher's first.

    One that is elsewhere has none without answers on these examples.
    """
    config = networks.config
    if networks.imported:
        of_teachers = _imported(networks.imported, test)
    else:
        of_teachers = [
            _predictions_of(networks, role, network.seed, test)
            for role, network in config.teachers.items()
        ]
    if isinstance(config.teacher, EnsembleConfig):
        yield "teacher", [_combine(networks, of_teachers)]
        yield "member", of_teachers
    elif of_teachers:
        yield "teacher", of_teachers
    del of_teachers
    roles = ("student", "finetune", "baseline")
    for role in roles if config.finetune else ("student", "baseline"):
        trained = [_predictions_of(networks, role, seed, test) for seed in config.seeds]
        yield role, trained
        if config.evaluate.class_bias:
            yield (
                f"{role}_class_bias",
                [
                    _with_class_bias(networks.config, networks.datasets, outcome)
                    for outcome in trained
                ],
            )
        del trained


def _combine(networks: Networks, members: list[ModelPredictions]) -> ModelPredictions:
    return ModelPredictions(
        seed=None,
        parameters=sum(member.parameters or 0 for member in members),
        steps={"last": None, "best": None},
        logits={
            kind: networks.average_logits([member.logits[kind] for member in members])
            for kind in ("last", "best")
        },
        weights="",
        rate=None,
    )


def _imported(imported: Imported, test: data.Examples) -> list[ModelPredictions]:
    """The answers of a teacher that is elsewhere, if it has some on the test split."""
    answers = imported.logits("test", test)
    if answers is None:
        return []
    mapped = metrics.map_logits(answers, imported.class_map)
    return [
        ModelPredictions(
            seed=None,
            parameters=None,
            steps={"last": None, "best": None},
            logits={"last": mapped, "best": mapped},
            weights=imported.weights("test"),
            rate=None,
        )
    ]


def _predictions_of(
    networks: Networks, role: str, seed: int, test: data.Examples
) -> ModelPredictions:
    is_teacher = role in networks.config.teachers
    class_map = networks.class_map(role) if is_teacher else None
    folder = networks.folder(role, seed)
    model = networks.build(role, seed)
    predict = networks.devices.predictor(model, test, role=role)
    is_to_correct = networks.config.evaluate.class_bias and not is_teacher
    validate = (
        networks.devices.predictor(model, networks.datasets.validation, role=role)
        if is_to_correct
        else None
    )
    logits, validation = {}, {}
    for kind, file in (("last", LAST), ("best", FINISHED)):
        networks.load(model, folder / file, stage="teacher" if is_teacher else role)
        logits[kind] = metrics.map_logits(predict(), class_map)
        if validate:
            validation[kind] = validate()
    return ModelPredictions(
        seed=seed,
        parameters=model.count_params(),
        steps=networks.devices.workers.broadcast(functools.partial(steps, folder)),
        logits=logits,
        weights=models.fingerprint(model),  # the last one that was loaded
        rate=events.median_throughput(folder / METRICS),
        validation=validation,
    )


def _with_class_bias(
    config: Config, datasets: Datasets, outcome: ModelPredictions
) -> ModelPredictions:
    """The same network with a bias on the classes that it was not shown."""
    classes = config.data.exclude_labels
    biases = {
        kind: class_bias.fit(logits, datasets.validation.labels, classes=classes)
        for kind, logits in outcome.validation.items()
    }
    logits = {
        kind: class_bias.add(outcome.logits[kind], bias, classes=classes)
        for kind, bias in biases.items()
    }
    return dataclasses.replace(outcome, logits=logits, biases=biases)


def steps(folder: epath.Path) -> dict[str, int | None]:
    """The steps of the last and of the best model of an ended training.

    Raises:
      CheckpointError: the newest checkpoint is damaged, and nothing else tells them.
      StorageError: the metrics are not those that were written.
    """
    try:
        progress = checkpoint.latest_progress(folder / CHECKPOINTS)
    except checkpoint_file.CheckpointError as error:
        if found := _steps_told_before(folder):
            return found
        raise checkpoint_file.CheckpointError(
            f"{error}, with {FINISHED} and {LAST} in {folder}"
        ) from error
    events.check_lines(folder / METRICS, progress.lines, last_step=progress.step)
    return {"last": progress.step, "best": progress.best_step}


def _steps_told_before(folder: epath.Path) -> dict[str, int | None]:
    """Reads the steps from the checkpoint before and the lines logged since then.

    Nothing where these do not tell. The older one alone would give the models steps
    that they are not of.
    """
    try:
        progress, problem = checkpoint.find_intact(folder / CHECKPOINTS)
    except checkpoint_file.CheckpointError:
        return {}
    last = checkpoint_file.steps_of(folder / CHECKPOINTS)[-1]
    events.check_lines(folder / METRICS, progress.lines, last_step=progress.step)
    name = f"{TITLE}{progress.select_by}"
    evaluated = {
        line["step"]: line[name]
        for line in events.read_metrics(folder / METRICS)
        if progress.step <= line["step"] <= last and name in line
    }
    if last not in evaluated:
        return {}
    judged = EarlyStopping(progress, patience_steps=0)
    for step, value in evaluated.items():
        judged.update(step, {progress.select_by: value})
    console.log(
        f"{problem}; the training has ended, and its steps are known by the checkpoint "
        f"of step {progress.step} and {METRICS}"
    )
    return {"last": last, "best": judged.best_step}
