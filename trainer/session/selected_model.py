"""The model that leaves the run: export and registry register take the same."""

import dataclasses

import keras

from trainer.session.session import Session
from trainer.storage.workdir import FINISHED


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectedModel:
    """A finished model; its variables and what it computes are float32."""

    role: str
    seed: int
    model: keras.Model


def select_model(session: Session) -> SelectedModel:
    """The model of export.role and export.seed, on one device.

    Whole models from files compute in the precision that they bring.

    Raises:
      ConfigError: its stage has not been run in this workdir.
    """
    config = session.config
    role, seed = config.export.role, config.export.seed
    is_teacher = role in config.teachers
    if is_teacher:
        seed = config.teachers[role].seed
    elif seed == -1:
        seed = config.seeds[0]
    path = session.networks.folder(role, seed) / FINISHED
    stage = "teacher" if is_teacher else role
    # Before seconds go into building.
    session.networks.check_left(path, stage=stage)
    model = session.networks.build_alone(role, seed, precision="float32")
    session.networks.load(model, path, stage=stage)
    return SelectedModel(role=role, seed=seed, model=model)
