"""The teacher stage: train the teacher, or take its weights as they are."""

import keras

from trainer import data, models
from trainer.config import TrainConfig
from trainer.session import Session, training, weight_files
from trainer.session.networks import Networks
from trainer.session.qualification import qualify
from trainer.session.savable_models import check_saving
from trainer.session.train_state import TrainSpec
from trainer.storage.workdir import FINISHED, LAST
from trainer.train import objective


def teacher(session: Session) -> None:
    """Writes model.keras of the teacher, or of each member, unless it is there.

    Raises:
      ConfigError: one that is used as it is does not know the classes.
    """
    taken = [_finish(session, role) for role in session.config.teachers]
    if any(taken):
        qualify(session.networks)


def take_weights(networks: Networks, role: str, model: keras.Model) -> None:
    """Gives the teacher `model` the weights of the config as they are."""
    weights = networks.config.teachers[role].weights
    weight_files.check_whole(networks, role, model)
    if weights:  # a saved model has its own
        weight_files.load(networks, model, weights, setting=f"{role}.weights")


def supervised(
    networks: Networks,
    role: str,
    model: keras.Model,
    section: TrainConfig,
    weights: str,
) -> TrainSpec:
    """The teacher `model` learns from the labels, from the file `weights` on."""
    return _spec(
        networks,
        model,
        section,
        role=role,
        seed=networks.config.teachers[role].seed,
        setting=f"{role}.train",
        weights=weights,
    )


def head_alone(
    networks: Networks, role: str, model: keras.Model, section: TrainConfig
) -> TrainSpec:
    """The last layer of the teacher `model` learns; others are frozen by the caller."""
    network = networks.config.teachers[role]
    return _spec(
        networks,
        model,
        section,
        role=head_role(role),
        seed=network.seed,
        setting=f"{role}.head",
        weights=network.weights,
    )


def head_role(role: str) -> str:
    """The role of the training of the last layer alone of the teacher in `role`."""
    return role.replace("teacher", "teacher_head", 1)


def _finish(session: Session, role: str) -> bool:
    """Finishes a teacher; whether its weights were taken as they are, and now."""
    section = session.config.teachers[role]
    folder = session.networks.folder(role, section.seed)
    if training.is_finished(session.devices, folder):
        return False
    check_saving(session.networks, role)
    weights = section.weights
    if section.head:
        weights = _train_head(session, role, section.head)
    model = session.networks.build(role, section.seed)
    if section.train:
        training.train(
            session, supervised(session.networks, role, model, section.train, weights)
        )
        return False
    take_weights(session.networks, role, model)
    if session.devices.workers.is_chief:
        for name in (LAST, FINISHED):
            training.save_model(
                session.devices,
                session.datasets,
                model,
                folder / name,
                class_names=session.networks.classes(role),
                is_whole=not session.given.is_live(role),
            )
    session.devices.workers.barrier()
    return not section.head


def _train_head(session: Session, role: str, section: TrainConfig) -> str:
    """Trains the last layer on what the others give; the path of the weights."""
    seed = session.config.teachers[role].seed
    folder = session.networks.folder(head_role(role), seed)
    if not training.is_finished(session.devices, folder):
        model = session.networks.build(role, seed)
        with models.head_alone(model):
            training.train(session, head_alone(session.networks, role, model, section))
    return str(folder / FINISHED)


def _spec(
    networks: Networks,
    model: keras.Model,
    section: TrainConfig,
    *,
    role: str,
    seed: int,
    setting: str,
    weights: str,
) -> TrainSpec:
    return TrainSpec(
        role=role,
        seed=seed,
        section=section,
        setting=setting,
        folder=networks.folder(role, seed),
        weights=weights,
        model=model,
        objective=objective.supervised(
            model, section, seed=seed, class_weights=networks.datasets.class_weights
        ),
        examples=networks.datasets.training,
        validate=networks.datasets.validate,
        views=data.Views(seed=seed, count=None),
    )
