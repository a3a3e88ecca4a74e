"""The student stage: for each seed, distil the teacher into a student."""

from collections.abc import Sequence

import keras
import numpy as np

from trainer import core, evaluate, soft_targets
from trainer.config import EnsembleConfig
from trainer.stages import training
from trainer.stages.learner import Training
from trainer.stages.session import Session


def student(session: Session) -> None:
    """Writes student/seed-S/model.keras for each seed, unless it is there."""
    for seed in session.config.seeds:
        if not training.is_finished(session, session.folder("student", seed)):
            model = session.build("student", seed)
            taught = distillation(session, model, session.teachers, seed)
            training.train(session, taught)


def distillation(
    session: Session, model: keras.Model, teachers: Sequence[keras.Model], seed: int
) -> Training:
    """The student `model` learns from the frozen `teachers` and from the labels."""
    section = session.config.student
    distill = session.config.distill

    def validate(logits: np.ndarray) -> dict[str, float]:
        return session.validate(logits) | evaluate.teacher_metrics(
            logits, session.teacher_validation_logits
        )

    return Training(
        role="student",
        seed=seed,
        section=section.train,
        setting="student.train",
        folder=session.folder("student", seed),
        weights=section.weights,
        model=model,
        computed=core.distillation(
            model,
            together(session, [soft_targets.online(teacher) for teacher in teachers]),
            alpha=distill.alpha,
            temperature=distill.temperature,
            label_smoothing=section.train.label_smoothing,
            seed=seed,
        ),
        examples=session.transfer,
        validate=validate,
    )


def together(
    session: Session, signals: Sequence[core.TeacherSignal]
) -> core.TeacherSignal:
    """What the teacher says, of the signals of its networks."""
    teacher = session.config.teacher
    if isinstance(teacher, EnsembleConfig):
        return soft_targets.ensemble(
            signals,
            weights=teacher.weights,
            temperature=session.config.distill.temperature,
        )
    (only,) = signals
    return only
