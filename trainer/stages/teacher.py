"""The teacher stage: train the teacher, or take its weights as they are."""

from trainer import core, models
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
    if section.train is None:
        if section.weights:  # a saved model has its own
            models.load_weights(model, section.weights, setting="teacher.weights")
        for name in (LAST, FINISHED):
            training.save_model(model, folder / name)
        return

    training.train(
        session,
        training.Training(
            role="teacher",
            seed=section.seed,
            section=section.train,
            owner="teacher",
            folder=folder,
            weights=section.weights,
            examples=session.training,
            validate=session.validate,
        ),
        model,
        core.supervised(
            model, label_smoothing=section.train.label_smoothing, seed=section.seed
        ),
    )
