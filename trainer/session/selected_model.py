"""The model that leaves the run: export and registry register take the same."""

import dataclasses

import keras

from trainer.config import ConfigError
from trainer.session.networks import Networks
from trainer.storage.workdir import CONFIG, FINISHED


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectedModel:
    """A finished model; its variables and what it computes are float32."""

    role: str
    seed: int
    model: keras.Model


def select_model(networks: Networks) -> SelectedModel:
    """The model of export.role and export.seed, on one device.

    Whole models from files compute in the precision that they bring.

    Raises:
      ConfigError: its stage has not been run in this workdir, or it has no such seed.
    """
    config = networks.config
    role, seed = config.export.role, config.export.seed
    is_teacher = role in config.teachers
    if is_teacher:
        own = config.teachers[role].seed
        if seed not in (-1, own):
            raise ConfigError(
                f"export.seed must be -1 for {role}, which is one model for all seeds, "
                f"got {seed} in {networks.path / CONFIG} or for this command; add "
                "--set=export.seed=-1, or name another export.role"
            )
        seed = own
    elif seed == -1:
        seed = config.seeds[0]
    path = networks.folder(role, seed) / FINISHED
    stage = "teacher" if is_teacher else role
    # Before seconds go into building.
    networks.check_left(path, stage=stage)
    model = networks.build_alone(role, seed, precision="float32")
    networks.load(model, path, stage=stage)
    model = _of_dtype(model, networks.inputs(role).dtype)
    return SelectedModel(role=role, seed=seed, model=model)


def _of_dtype(model: keras.Model, dtype: str) -> keras.Model:
    """The model as it takes what the data yield, where it was built for other numbers.

    Who calls it in this process has Keras convert them; what leaves the run has not.
    """
    [own] = model.inputs
    if own.dtype == dtype:
        return model
    start = keras.Input(own.shape[1:], dtype=dtype, name=own.name)
    return keras.Model(start, model(start), name=model.name)
