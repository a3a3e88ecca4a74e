"""The baseline stage: the same student, the same budget, no teacher."""

from trainer import core
from trainer.stages import training
from trainer.stages.session import Session


def baseline(session: Session) -> None:
    """Writes baseline/seed-S/model.keras for each seed, unless it is there.

    The baseline of a seed starts from the student's initial weights and sees the
    student's batches: the pair differs by the loss alone.
    """
    for seed in session.config.seeds:
        if not training.is_finished(session.folder("baseline", seed)):
            _train_alone(session, seed)


def _train_alone(session: Session, seed: int) -> None:
    section = session.config.student
    model = session.build("student", seed)

    training.train(
        session,
        training.Training(
            role="baseline",
            seed=seed,
            section=section.train,
            setting="student.train",
            folder=session.folder("baseline", seed),
            weights=section.weights,
            examples=session.transfer,
            validate=session.validate,
        ),
        model,
        core.supervised(
            model, label_smoothing=section.train.label_smoothing, seed=seed
        ),
    )
