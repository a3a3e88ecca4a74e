"""Files of weights that a config names: a run goes on with what it began with."""

import functools

import keras

from trainer import models
from trainer.config import ConfigError, is_run_model
from trainer.session.networks import Networks
from trainer.storage import files, folders, run_model, weight_checksums


def load(networks: Networks, model: keras.Model, name: str, *, setting: str) -> None:
    """Sets the weights of `model` to those of the file `name`, which `setting` names.

    The checksum of a .weights.h5, which has none inside, and that of a model of another
    run is kept at the first use in a run, and held against the file at every later one.

    Raises:
      ConfigError: the file cannot be used, or is not the one that the run began with.
    """
    path = networks.file(name, setting=setting)
    models.load_weights(model, path, setting=setting)
    if is_run_model(name):
        _check_tested(networks, model, name, setting)
    elif not path.endswith(".weights.h5"):
        return
    found = folders.checksum(files.path_of(path, setting=setting))
    # Each worker reads its own file.
    known = networks.devices.workers.broadcast(
        functools.partial(weight_checksums.keep, networks.lock_dir, setting, found)
    )
    weight_checksums.check(networks.lock_dir, setting, path, found, known)


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
