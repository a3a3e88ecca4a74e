"""The teacher stage: train the teacher, or take its weights as they are."""

import keras

from trainer import core, data, models
from trainer.config import TrainConfig
from trainer.stages import training
from trainer.stages.learner import Training
from trainer.stages.session import Session
from trainer.workdir import FINISHED, LAST


def teacher(session: Session) -> None:
    """Writes teacher/model.keras, unless it is there."""
    section = session.config.teacher
    folder = session.folder("teacher", section.seed)
    if training.is_finished(session, folder):
        return
    weights = section.weights
    if section.head:
        weights = _train_head(session, section.head)
    model = session.build("teacher", section.seed)
    if section.train:
        training.train(session, supervised(session, model, section.train, weights))
        return
    take_weights(session, model)
    if session.workers.is_chief:
        for name in (LAST, FINISHED):
            training.save_model(model, folder / name)
    session.workers.meet()


def take_weights(session: Session, model: keras.Model) -> None:
    """Gives the teacher `model` the weights of the config as they are."""
    weights = session.config.teacher.weights
    if weights:  # a saved model has its own
        models.load_weights(model, weights, setting="teacher.weights")


def supervised(
    session: Session, model: keras.Model, section: TrainConfig, weights: str
) -> Training:
    """The teacher `model` learns from the labels, from the file `weights` on."""
    return _from_labels(session, model, section, "teacher", "teacher.train", weights)


def head_alone(session: Session, model: keras.Model, section: TrainConfig) -> Training:
    """The last layer of the teacher `model` learns; others are frozen by the caller."""
    weights = session.config.teacher.weights
    return _from_labels(
        session, model, section, "teacher_head", "teacher.head", weights
    )


def _train_head(session: Session, section: TrainConfig) -> str:
    """Trains the last layer on what the others give; the path of the weights."""
    seed = session.config.teacher.seed
    folder = session.folder("teacher_head", seed)
    if not training.is_finished(session, folder):
        model = session.build("teacher", seed)
        with models.head_alone(model):
            training.train(session, head_alone(session, model, section))
    return str(folder / FINISHED)


def _from_labels(
    session: Session,
    model: keras.Model,
    section: TrainConfig,
    role: str,
    setting: str,
    weights: str,
) -> Training:
    seed = session.config.teacher.seed
    return Training(
        role=role,
        seed=seed,
        section=section,
        setting=setting,
        folder=session.folder(role, seed),
        weights=weights,
        model=model,
        computed=core.supervised(
            model, label_smoothing=section.label_smoothing, seed=seed
        ),
        examples=session.training,
        validate=session.validate,
        views=data.Views(seed=seed, count=None),
    )
