"""The baseline stage: the same student, the same budget, no teacher."""

import dataclasses

import keras

from trainer import optimizers
from trainer.session import Session, training, weight_files
from trainer.session.networks import Networks
from trainer.session.selection import without_teacher
from trainer.session.train_state import TrainSpec
from trainer.stages.soft_targets import caches
from trainer.train import objective


def baseline(session: Session) -> None:
    """Writes baseline/seed-S/model.keras for each seed, unless it is there.

    The baseline of a seed starts from the student's initial weights, takes as many
    steps and sees the student's batches: the pair differs by the loss alone, and by the
    images without labels where there are some.
    """
    for seed in session.config.seeds:
        if not training.is_finished(
            session.devices, session.networks.folder("baseline", seed)
        ):
            model = session.networks.build("student", seed)
            weight_files.check_whole(session.networks, "student", model)
            training.train(session, baseline_training(session.networks, model, seed))


def baseline_training(networks: Networks, model: keras.Model, seed: int) -> TrainSpec:
    """The student `model` learns from the labels, without a teacher."""
    section = networks.config.student
    num_steps = optimizers.num_steps(
        section.train, num_examples=len(networks.datasets.transfer)
    )
    return TrainSpec(
        role="baseline",
        seed=seed,
        section=dataclasses.replace(
            section.train,
            steps=num_steps,
            epochs=0.0,
            select_by=without_teacher(section.train.select_by),
        ),
        setting="student.train",
        folder=networks.folder("baseline", seed),
        weights=section.weights,
        model=model,
        objective=objective.supervised(
            model,
            section.train,
            seed=seed,
            class_weights=networks.datasets.class_weights,
        ),
        examples=networks.datasets.labeled,
        validate=networks.datasets.validate,
        views=caches.views(networks.config, seed),
    )
