"""The student stage: for each seed, distil the teacher into a student."""

import keras
import numpy as np

from trainer import core, evaluate, soft_targets
from trainer.stages import training
from trainer.stages.soft_targets import caches
from trainer.stages.learner import Training
from trainer.stages.session import Session


def student(session: Session) -> None:
    """Writes student/seed-S/model.keras for each seed, unless it is there."""
    for seed in session.config.seeds:
        if not training.is_finished(session, session.folder("student", seed)):
            model = session.build("student", seed)
            if session.config.distill.soft_targets == "online":
                signal, cached = soft_targets.online(session.teacher), None
            else:
                cached = caches.opened(session)
                [signal] = cached.signals(
                    temperature=session.config.distill.temperature
                )
            training.train(session, distillation(session, model, signal, cached, seed))


def distillation(
    session: Session, model: keras.Model, signal, cached, seed: int
) -> Training:
    """The student `model` learns from the frozen `teacher` and from the labels."""
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
            signal,
            alpha=distill.alpha,
            temperature=distill.temperature,
            label_smoothing=section.train.label_smoothing,
            seed=seed,
        ),
        examples=session.transfer,
        validate=validate,
        views=caches.views(session, seed),
        beside=cached,
    )
