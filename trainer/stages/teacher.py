"""The teacher stage: train the teacher, or take its weights as they are."""

import keras

from trainer import core, models
from trainer.config import TrainConfig
from trainer.stages import training
from trainer.stages.session import Session
from trainer.workdir import FINISHED, LAST


def teacher(session: Session) -> None:
    """Writes teacher/model.keras, unless it is there."""
    section = session.config.teacher
    folder = session.folder("teacher", section.seed)
    if training.is_finished(folder):
        return
    weights = section.weights
    if section.head:
        weights = _train_head(session, section.head)
    model = session.build("teacher", section.seed)
    if section.train:
        _train(session, "teacher", model, section.train, weights)
        return
    if weights:  # a saved model has its own
        models.load_weights(model, weights, setting="teacher.weights")
    for name in (LAST, FINISHED):
        training.save_model(model, folder / name)


def _train_head(session: Session, section: TrainConfig) -> str:
    """Trains the last layer on what the others give; the path of the weights."""
    seed, weights = session.config.teacher.seed, session.config.teacher.weights
    folder = session.folder("teacher_head", seed)
    if not training.is_finished(folder):
        model = session.build("teacher", seed)
        with models.head_alone(model):
            _train(session, "teacher_head", model, section, weights)
    return str(folder / FINISHED)


def _train(
    session: Session, role: str, model: keras.Model, section: TrainConfig, weights: str
) -> None:
    seed = session.config.teacher.seed
    training.train(
        session,
        training.Training(
            role=role,
            seed=seed,
            section=section,
            setting="teacher.head" if role == "teacher_head" else "teacher.train",
            folder=session.folder(role, seed),
            weights=weights,
            examples=session.training,
            validate=session.validate,
        ),
        model,
        core.supervised(model, label_smoothing=section.label_smoothing, seed=seed),
    )
