"""The registry register command: the chosen model becomes a version."""

import dataclasses
import datetime
import pathlib
import tempfile
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from etils import epath

import trainer
from trainer import console, data, export, models, registry, report
from trainer.config import (
    Config,
    ConfigError,
    EvaluateView,
    SavedOptions,
    check_name,
    recorded_settings,
)
from trainer.evaluation import inference_times
from trainer.exit_codes import CheckFailedError
from trainer.registry import Card
from trainer.session import Session
from trainer.session.datasets import Datasets
from trainer.session.networks import Networks
from trainer.session.run_devices import Devices
from trainer.session.selected_model import SelectedModel, select_model
from trainer.stages.student import validate
from trainer.storage import run_folders, workdir

_BATCH = 256
_CHECKED = 256  # examples of the validation split that the SavedModel predicts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """The chosen model before it is a version."""

    fingerprint: str  # of its weights
    validation: dict[str, float]


def register(session: Session) -> str:
    """Writes the next version of the model, and prints where it is; its reference.

    Raises:
      as publish does.
    """
    root, name = place(session.config)
    number = publish(session)
    reference = f"registry:{name}@{number}"
    print(f"registered: {reference} in {root / name / str(number)}")
    return reference


def place(config: Config) -> tuple[epath.Path, str]:
    """The registry, and which of its models the run's is a version of.

    Raises:
      ConfigError: the registry has no root, or the name cannot be one there.
    """
    section = config.registry
    name = section.name or config.name
    check_name(name, setting="registry.name" if section.name else "name")
    return registry.root_of(section), name


def candidate(networks: Networks) -> Candidate:
    """The version that publish would write, measured on the validation split.

    Raises:
      ConfigError: the stage of the model has not been run.
    """
    found = select_model(networks)
    return Candidate(
        fingerprint=models.fingerprint(found.model),
        validation=_validation(networks, found.model),
    )


def accuracy_here(networks: Networks, folder: epath.Path, card: Card) -> float | None:
    """The accuracy of the version in `folder` on the validation split of this run.

    None if it has other classes or inputs. `card` is the version's own.

    Raises:
      StorageError: its model is damaged.
    """
    split = networks.config.data.validation_split
    known, own = card["data"], _fingerprints(networks.datasets, [split])
    is_same = known["splits"].get("data.validation_split") == split and all(
        known["fingerprints"].get(name) == found for name, found in own.items()
    )
    seen = EvaluateView.of(card["config"].get("data") or {})
    if is_same and seen == networks.config.data.view:
        return float(card["metrics"]["validation"]["accuracy"])
    source = networks.datasets.source
    is_other = card["classes"] != list(source.class_names)
    is_other |= card["input"]["shape"] != list(source.input_shape)
    # Of floats that say nothing of their range a file cannot be asked.
    if is_other or source.value_range is not None:
        return None
    console.log(f"{folder} was validated on other examples; now it is on this run's")
    file = registry.check_file(folder, registry.MODEL)
    options = SavedOptions(path=str(file), input="zero_to_255")
    return _validation(networks, models.alone(options, setting=str(file)))["accuracy"]


def publish(session: Session) -> int:
    """Writes the next version of the model; returns its number.

    Raises:
      ConfigError: the registry has no root, or the run is not evaluated yet.
      StorageError: the registry cannot be written, or another writer is at work.
      CheckFailedError: the SavedModel's predictions are not the model's.
    """
    root, name = place(session.config)
    run_folders.check_apart(root / name, session.path)
    session.networks.check_left(session.path / workdir.RESULTS, stage="evaluate")
    with (
        registry.publishing(root, name) as publish_folder,
        tempfile.TemporaryDirectory(prefix="alambic-") as temporary,
    ):
        found = select_model(session.networks)
        folder = pathlib.Path(temporary, "version")
        export.save(found.model, session.datasets.source.class_names, folder)
        _check_answers(session.datasets, found.model, folder)
        found.model.save(folder / registry.MODEL)
        number = publish_folder(folder, _card(session.networks, found, name))
        # The workdir keeps the role and the seed of an earlier command.
        console.log(f"{name}@{number} is the {found.role} of seed {found.seed}")
        return number


def _check_answers(
    datasets: Datasets, model: keras.Model, folder: pathlib.Path
) -> None:
    rows = np.arange(min(_CHECKED, len(datasets.validation)))
    inputs = datasets.validation.read(rows)
    own = export.predict_function(model)(inputs)
    difference = float(np.abs(export.load(folder)(inputs) - own).max())
    if not difference <= export.EXACT:
        raise CheckFailedError(
            f"the SavedModel must give the model's probabilities to {export.EXACT:g}, "
            f"got a difference of {difference:.3g}; nothing was registered"
        )


def _card(networks: Networks, found: SelectedModel, name: str) -> Card:
    config, source = networks.config, networks.datasets.source
    columns = data.feature_names(source)
    teachers = zip(config.teachers.items(), networks.teachers, strict=True)
    return {
        "name": name,
        "created": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "run": config.name,
        "role": found.role,
        "seed": found.seed,
        "model": _network(_architecture(networks.config, found.role), found.model)
        | {"parameters": found.model.count_params()},
        "teachers": [
            {"role": role, **_network(network.model, model)}
            for (role, network), model in teachers
        ],
        "classes": list(source.class_names),
        "input": {
            "shape": list(source.input_shape),
            "dtype": str(found.model.inputs[0].dtype),
            **(config.data.view.settings if config.data.is_fitted else {}),
            **({"columns": list(columns)} if columns else {}),
        },
        "metrics": {
            "validation": _validation(networks, found.model),
            "test": _test(networks, found),
        },
        "latency": _latency(networks.devices, networks.datasets, found),
        "data": {
            "dataset": config.data.dataset,
            "splits": dict(config.data.splits),
            "fingerprints": _fingerprints(
                networks.datasets, config.data.splits.values()
            ),
        },
        "code": _code(),
        "config": recorded_settings(config),
    }


def _fingerprints(datasets: Datasets, chosen: Iterable[str]) -> dict[str, str]:
    """Fingerprints of the whole splits that the splits `chosen` are parts of."""
    whole = datasets.source.whole_splits
    used = {name for split in chosen for name in data.whole_names(whole, split)}
    return {
        name: datasets.source.fingerprint(name, num_ids=whole[name].num_examples)
        for name in whole
        if name in used
    }


def _code() -> dict[str, Any]:
    return {
        "alambic": trainer.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "git": registry.revision(),
    }


def _architecture(config: Config, role: str) -> str:
    networks = config.networks
    return networks.get(role, config.student).model


def _network(architecture: str, model: keras.Model) -> dict[str, Any]:
    return {"architecture": architecture, "fingerprint": models.fingerprint(model)}


def _validation(networks: Networks, model: keras.Model) -> dict[str, float]:
    # In this process alone, on the device that the model is on.
    predict, examples = export.predict_function(model), networks.datasets.validation
    probabilities = np.concatenate(
        [
            predict(examples.read(np.arange(first, min(first + _BATCH, len(examples)))))
            for first in range(0, len(examples), _BATCH)
        ]
    )
    # Logits up to what all classes share.
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    if networks.config.export.role in networks.config.teachers:
        return networks.datasets.validate(logits)
    return validate(networks, logits)


def _test(networks: Networks, found: SelectedModel) -> dict[str, Any]:
    """The model's metrics on the test split, from the evaluate stage."""
    entries = report.read_results(networks.path)["models"]
    is_member = found.role.startswith("teacher.members[")
    for seed in entries["member" if is_member else found.role]["seeds"]:
        if seed["seed"] == found.seed:
            _check_evaluated(networks, found, seed.get("weights"))
            return dict(seed["best"])
    raise ConfigError(
        f"{networks.path / workdir.RESULTS} must hold seed {found.seed} of the "
        f"{found.role}, got others; delete it and run `python -m trainer evaluate`"
    )


def _check_evaluated(
    networks: Networks, found: SelectedModel, weights: str | None
) -> None:
    """Finds that it is the chosen model whose `weights` were evaluated.

    Raises:
      ConfigError: it is another one; earlier versions kept no weights.
    """
    if weights and weights != models.fingerprint(found.model):
        folder = networks.folder(found.role, found.seed)
        raise ConfigError(
            f"{folder / workdir.FINISHED} must be the "
            f"model that {networks.path / workdir.RESULTS} was written of, got one of "
            "other weights; delete that file and run `python -m trainer evaluate`"
        )


def _latency(
    devices: Devices, datasets: Datasets, found: SelectedModel
) -> dict[str, Any]:
    device = devices.strategy.extended.worker_devices[0]
    times = inference_times.measure(
        {found.role: [found.model]},
        datasets.validation,
        device=device,
        compiles=devices.compiles,
    )[found.role]
    return {
        "ms_per_example": times.ms_per_example,
        "rounds": times.rounds,
        "device": devices.description,
    }
