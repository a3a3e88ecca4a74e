"""Files of weights that a config names: a run goes on with what it began with."""

import functools

import keras
from etils import epath

from trainer import models
from trainer.config import ConfigError
from trainer.session.networks import Networks
from trainer.storage import files, folders, seal
from trainer.storage.workdir import WEIGHTS


def load(networks: Networks, model: keras.Model, name: str, *, setting: str) -> None:
    """Sets the weights of `model` to those of the file `name`, which `setting` names.

    The checksum of a .weights.h5, which has none inside, is kept at the first use in a
    run, and held against the file at every later one.

    Raises:
      ConfigError: the file cannot be used, or is not the one that the run began with.
    """
    path = networks.file(name, setting=setting)
    models.load_weights(model, path, setting=setting)
    if not path.endswith(".weights.h5"):
        return
    found = folders.checksum(files.path_of(path, setting=setting))
    # Each worker reads its own file.
    kept = networks.lock_dir / WEIGHTS
    known = networks.devices.workers.broadcast(
        functools.partial(_keep, kept, setting, found)
    )
    if found != known:
        raise ConfigError(
            f"{setting} must be the file that this run began with, of SHA-256 {known} "
            f"by {kept}, got {path!r} with {found}; it is damaged or "
            "another: put it back, or choose another --workdir"
        )


def _keep(path: epath.Path, setting: str, found: str) -> str:
    """The checksum of the file of `setting`; `found` where none is kept yet."""
    kept: dict[str, str] = {}
    if files.exists(path):
        try:
            with files.wrap_read_errors(path):
                kept = seal.parse(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path} must say which files of weights a run began with, got "
                f"something else ({error}); choose another --workdir"
            ) from error
    if setting not in kept:
        kept[setting] = found
        files.write_json(path, seal.add_checksum(kept))
    return str(kept[setting])
