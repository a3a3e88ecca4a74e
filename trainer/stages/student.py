"""The student stage: for each seed, distil the teacher into a student."""

import numpy as np

from trainer import core, evaluate, soft_targets
from trainer.stages import training
from trainer.stages.session import Session


def student(session: Session) -> None:
    """Writes student/seed-S/model.keras for each seed, unless it is there."""
    for seed in session.config.seeds:
        if not training.is_finished(session.folder("student", seed)):
            _distil(session, seed)


def _distil(session: Session, seed: int) -> None:
    section = session.config.student
    distill = session.config.distill
    model = session.build("student", seed)

    def validate(logits: np.ndarray) -> dict[str, float]:
        return session.validate(logits) | evaluate.teacher_metrics(
            logits, session.teacher_validation_logits
        )

    training.train(
        session,
        training.Training(
            role="student",
            seed=seed,
            section=section.train,
            setting="student.train",
            folder=session.folder("student", seed),
            weights=section.weights,
            examples=session.transfer,
            validate=validate,
        ),
        model,
        core.distillation(
            model,
            soft_targets.online(session.teacher),
            alpha=distill.alpha,
            temperature=distill.temperature,
            label_smoothing=section.train.label_smoothing,
            seed=seed,
        ),
    )
