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
    model = session.build("teacher", section.seed)
    if section.train:
        training.train(session, supervised(session, model, section.train))
        return
    models.load_weights(model, section.weights, setting="teacher.weights")
    for name in (LAST, FINISHED):
        training.save_model(model, folder / name)


def supervised(
    session: Session, model: keras.Model, train: TrainConfig
) -> training.Training:
    """The teacher `model` learns from the labels."""
    section = session.config.teacher
    return training.Training(
        role="teacher",
        seed=section.seed,
        section=train,
        owner="teacher",
        folder=session.folder("teacher", section.seed),
        weights=section.weights,
        model=model,
        computed=core.supervised(
            model, label_smoothing=train.label_smoothing, seed=section.seed
        ),
        examples=session.training,
        validate=session.validate,
    )
