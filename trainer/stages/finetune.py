"""The finetune stage: each distilled student goes on without its teacher."""

import functools

import keras

from trainer import data
from trainer.config import ConfigError
from trainer.session import Session, training
from trainer.session.networks import Networks
from trainer.session.train_state import TrainSpec
from trainer.stages.student import validate
from trainer.storage.workdir import FINISHED
from trainer.train import objective


def finetune(session: Session) -> None:
    """Writes finetune/seed-S/model.keras for each seed, unless it is there.

    Raises:
      ConfigError: there is no [finetune] section, or no student yet.
    """
    for seed in session.config.seeds:
        if training.is_finished(
            session.devices, session.networks.folder("finetune", seed)
        ):
            continue
        model = session.networks.build("finetune", seed)
        planned = finetune_training(session.networks, model, seed)
        distilled = session.networks.folder("student", seed) / FINISHED
        session.networks.load(model, distilled, stage="student")
        training.train(session, planned)


def finetune_training(networks: Networks, model: keras.Model, seed: int) -> TrainSpec:
    """The distilled student `model` learns from the labels, as [finetune] says."""
    section = networks.config.finetune
    if not section:
        raise ConfigError(
            "[finetune] must be in the config for the finetune stage, got none; add "
            "the section with its global_batch_size and its epochs or steps"
        )
    return TrainSpec(
        role="finetune",
        seed=seed,
        section=section,
        setting="finetune",
        folder=networks.folder("finetune", seed),
        weights="",
        model=model,
        objective=objective.supervised(
            model, section, seed=seed, class_weights=networks.datasets.class_weights
        ),
        examples=networks.datasets.labeled,
        validate=functools.partial(validate, networks),
        views=data.Views(seed=seed, count=None),
    )
