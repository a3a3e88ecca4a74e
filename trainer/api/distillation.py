"""Distillation from Python: a run of the same stages as the command line's."""

import dataclasses
import inspect
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from etils import epath

from trainer import console, tensorflow_log
from trainer.api import datasets, networks
from trainer.api.job import Job
from trainer.api.result import Result
from trainer.api.settings import listed, merged, plain, section
from trainer.config import ConfigError, read_settings
from trainer.storage import files

if TYPE_CHECKING:
    import keras

Settings = Mapping[str, Any]


@tensorflow_log.hushed()
def distill(
    teacher: Any,
    student: Any,
    train: Any,
    validation: Any = None,
    test: Any = None,
    *,
    epochs: float,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    temperature: float = 4.0,
    alpha: float = 0.9,
    seeds: Sequence[int] = (0,),
    workdir: str | os.PathLike[str] | None = None,
    config: Settings | None = None,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
    columns: Sequence[str] | None = None,
) -> Result:
    """Distils the teacher into a student for each seed, beside its baseline.

    `train`, `validation` and `test` are arrays (x, y), a tf.data.Dataset, or what has
    items, which may be dicts with two `columns`; 10 % of train are carved for what is
    left out. Or `train` names a dataset. `teacher` and `student` are Keras models in
    memory, functions (input_shape, num_classes) -> model, names or paths; a student's
    weights are drawn anew for each seed, and `teacher` is None where `config` imports
    answers. The loss is alpha * soft loss at the temperature + (1 - alpha) * cross-
    entropy. A `workdir` lets the same call go on; sections of `config` win.
    """
    _check_loss(config, temperature=temperature, alpha=alpha)
    length = {"global_batch_size": batch_size, "epochs": epochs}
    settings = {
        "name": "distill",
        "seeds": listed("seeds", seeds, example="(0,)"),
        "student": {"train": {**length, "learning_rate": learning_rate}},
        "distill": {"temperature": temperature, "alpha": alpha},
    }
    settings = merged(plain(settings), plain(config or {}))
    data = datasets.describe(train, validation, test, columns)
    models = {"teacher": teacher, "student": student}
    return _run(settings, "trainer.distill", workdir, models, data, callbacks)


@tensorflow_log.hushed()
def run(
    config: Settings | str | os.PathLike[str],
    workdir: str | os.PathLike[str] | None = None,
    *,
    teacher: Any = None,
    student: Any = None,
    data: Any = None,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
) -> Result:
    """Runs a config from its first stage to its table, or goes on with it.

    Args:
      config: the path of a config file, or a dict of its sections.
      workdir: the folder of the run's files; without one it is a temporary folder.
      teacher: the teacher in place of the config's, as `distill` takes it.
      student: the student, likewise.
      data: the dataset, trainer.GivenData or its train, likewise.
      callbacks: Keras callbacks that follow the students, and only read.

    Raises:
      ConfigError, DataError: an argument or a setting cannot be used.
      StorageError: the workdir cannot be used, or another process trains in it.
      DivergedError: the loss is no longer a finite number.
      KeyboardInterrupt: after a checkpoint; the same call goes on.
      StoppedError: likewise, after a SIGTERM.
    """
    if isinstance(config, Mapping):
        settings, origin = plain(config), "trainer.run"
    elif isinstance(config, str | os.PathLike):
        origin = os.fspath(config)
        settings = read_settings(origin)
    else:
        raise ConfigError(
            "config must be the path of a TOML file or a dict of its sections, got a "
            f"{type(config).__name__}; see docs/configuration.md"
        )
    sources = {"teacher": teacher, "student": student}
    dataset = None if data is None else datasets.describe(data, None, None, None)
    return _run(settings, origin, workdir, sources, dataset, callbacks)


def _check_loss(config: Settings | None, **arguments: float) -> None:
    """Refuses arguments that terms of the config would make void."""
    if "terms" not in section(config or {}, "distill"):
        return
    defaults = inspect.signature(distill).parameters
    for name, value in arguments.items():
        if value != defaults[name].default:
            raise ConfigError(
                f"{name} must be left out where config['distill'] has terms, which "
                f"have weights and temperatures of their own, got {value}; set them "
                "there"
            )


def _run(
    settings: dict[str, Any],
    origin: str,
    workdir: str | os.PathLike[str] | None,
    models_or_none: Mapping[str, Any],
    data: datasets.Dataset | None,
    callbacks: "Sequence[keras.callbacks.Callback]",
) -> Result:
    sources = {role: x for role, x in models_or_none.items() if x is not None}
    callbacks = listed("callbacks", callbacks, example="[CALLBACK]")
    if callbacks:
        # Loads TensorFlow, as whoever made them has.
        from trainer.session.callback_rules import check_callbacks

        check_callbacks(callbacks)
    _check_apart(sources)
    models = {}
    for role, source in sources.items():
        network = networks.describe(role, source)
        settings[role] = networks.place(section(settings, role), role, network)
        if network.given is not None:
            models[role] = network.given
    if any(model.problem is not None for model in models.values()):
        settings["runtime"] = {"strategy": "one_device", **section(settings, "runtime")}
    if data:
        settings["data"] = datasets.place(section(settings, "data"), data)
    job = Job(
        settings=settings,
        origin=origin,
        path=_folder(workdir),
        models=models,
        data=data.given if data else None,
        callbacks=callbacks,
    )
    job.do()
    # Callbacks follow this call alone, and no other process may know of them.
    return Result(job=dataclasses.replace(job, callbacks=()))


def _check_apart(sources: Mapping[str, Any]) -> None:
    if len(sources) == 2 and all(map(networks.is_model, sources.values())):
        from trainer import models

        models.check_apart(sources["student"], sources["teacher"], setting="student")


def _folder(name: str | os.PathLike[str] | None) -> epath.Path:
    if name is not None:
        return files.path_of(os.fspath(name), setting="workdir")
    path = tempfile.mkdtemp(prefix="alambic-")
    console.log(
        f"the files of the run are in {path}, which the system may remove; give a "
        "workdir to keep them, and to go on after a stop"
    )
    return epath.Path(path)
