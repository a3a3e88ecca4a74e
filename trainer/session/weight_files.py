"""Files of weights that a config names: a run goes on with what it began with."""

import functools

import keras

from trainer import console, models
from trainer.config import (
    OWN,
    ConfigError,
    SavedOptions,
    StudentConfig,
    TeacherConfig,
    is_hub,
    is_reference,
    is_run_model,
)
from trainer.session.networks import Networks
from trainer.storage import files, folders, run_model, weight_checksums


def load(networks: Networks, model: keras.Model, name: str, *, setting: str) -> None:
    """Sets the weights of `model` to those of the file `name`, which `setting` names.

    "own" ones a function has given already, and those of a preset are read here. The
    checksum of a .weights.h5, which has none inside, and that of a model of another
    run is kept at the first use in a run, and held against the file at every later one.
    Of a .keras file it is that of the weights: to save them again changes the file.

    Raises:
      ConfigError: the file cannot be used, or is not the one that the run began with.
    """
    section = networks.config.networks[setting.removesuffix(".weights")]
    if name == OWN:
        if is_hub(section.model):
            _load_preset(networks, model, section, setting)
        return
    path = networks.file(name, setting=setting)
    options = getattr(section.options, "of_keras", None)
    models.load_weights(model, path, setting=setting, options=options)
    if is_run_model(name):
        _check_tested(networks, model, name, setting)
    elif path.endswith(".keras"):
        # The registry keeps what it has, and a head that was trained here is no file
        # of the config.
        if name == section.weights and not is_reference(name):
            _hold(networks, path, models.weights_fingerprint(model), setting)
        return
    elif not path.endswith(".weights.h5"):
        return
    _hold(
        networks, path, folders.checksum(files.path_of(path, setting=setting)), setting
    )


def check_whole(networks: Networks, role: str, model: keras.Model) -> None:
    """Finds that a whole model of a file, just built, has the weights as it had before.

    Raises:
      ConfigError: students of this run began with, or learned from, others.
    """
    options = networks.config.networks[role].options
    if isinstance(options, SavedOptions):
        found = models.weights_fingerprint(model)
        _hold(networks, options.path, found, f"{role}.options.path")


def _hold(networks: Networks, path: str, found: str, setting: str) -> None:
    # Each worker reads its own file.
    known = networks.devices.workers.broadcast(
        functools.partial(weight_checksums.keep, networks.lock_dir, setting, found)
    )
    weight_checksums.check(networks.lock_dir, setting, path, found, known)


def _load_preset(
    networks: Networks,
    model: keras.Model,
    section: TeacherConfig | StudentConfig,
    setting: str,
) -> None:
    is_final = section.train is None
    models.load_preset(model, section.model, is_final=is_final, setting=setting)
    says_names = getattr(section, "class_names", "")
    if is_final and not says_names and networks.devices.workers.is_chief:
        console.log(
            f"{setting} of {section.model!r} do not say the names of their classes; "
            "they are taken for those of the data, in their order"
        )


def _check_tested(
    networks: Networks, model: keras.Model, name: str, setting: str
) -> None:
    """Finds that the other run has tested what was loaded: weights and statistics.

    Statistics that images are normalised by are of the architecture, and their
    fingerprint is one of the precision.

    Raises:
      ConfigError: it has not.
    """
    is_row = networks.datasets.source.mean_and_variance is not None
    if not is_row and any(
        isinstance(layer, keras.layers.Normalization)
        for layer in model._flatten_layers(include_self=False)
    ):
        return
    found = run_model.find(name, setting=setting)
    if found.fingerprint and found.fingerprint != models.fingerprint(model):
        cause = "its weights are others"
        if is_row:
            cause += ", or the rows of this data.train_split are standardised otherwise"
        raise ConfigError(
            f"{setting} must be the model that the run in {found.folder} has tested, "
            f"got {name!r}: {cause}; take the run's split, or run `python -m trainer "
            "evaluate` there again once its results.json is deleted"
        )
