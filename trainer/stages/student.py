"""The student stage: for each seed, distil the teacher into a student."""

import keras
import numpy as np

from trainer import core, distribution, evaluate, soft_targets
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
    if distill.mixup:
        distribution.check_pairs(
            section.train,
            session.strategy.num_replicas_in_sync,
            setting="student.train",
        )

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
            soft_targets.online(teacher),
            alpha=distill.alpha,
            temperature=distill.temperature,
            label_smoothing=section.train.label_smoothing,
            mixup=distill.mixup,
            seed=seed,
        ),
        examples=session.transfer,
        validate=validate,
    )
