"""The student stage: for each seed, distil the teacher into a student."""

import functools

import keras
import numpy as np

from trainer import core, evaluate, soft_targets
from trainer.stages import training
from trainer.stages.learner import Training
from trainer.stages.session import Session


def student(session: Session) -> None:
    """Writes student/seed-S/model.keras for each seed, unless it is there."""
    for seed in session.config.seeds:
        if not training.is_finished(session, session.folder("student", seed)):
            model = session.build("student", seed)
            training.train(session, distillation(session, model, session.teacher, seed))


def distillation(
    session: Session, model: keras.Model, teacher: keras.Model, seed: int
) -> Training:
    """The student `model` learns from the frozen `teacher` and from the labels."""
    section = session.config.student
    distill = session.config.distill
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
            soft_targets.online(teacher),
            alpha=distill.alpha,
            temperature=distill.temperature,
            label_smoothing=section.train.label_smoothing,
            seed=seed,
        ),
        examples=session.transfer,
        validate=functools.partial(judge, session),
    )


def judge(session: Session, logits: np.ndarray) -> dict[str, float]:
    """Metrics of validation logits [M, C] against the labels and the teacher."""
    return session.validate(logits) | evaluate.teacher_metrics(
        logits, session.teacher_validation_logits
    )
