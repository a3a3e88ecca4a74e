"""The teacher stage: train the teacher, or take its weights as they are."""

import numpy as np

from trainer import evaluate, models, step
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
        models.load_weights(model, section.weights, setting="teacher.weights")
        for name in (LAST, FINISHED):
            training.save_model(model, folder / name)
        return

    def validate(logits: np.ndarray) -> dict[str, float]:
        return evaluate.classification_metrics(logits, session.validation.labels)

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
            validate=validate,
        ),
        model,
        step.supervised_core(model, seed=section.seed),
    )
