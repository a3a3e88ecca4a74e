"""The student stage: for each seed, distil the teacher into a student."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np

from trainer import data, soft_targets
from trainer.config import EnsembleConfig
from trainer.evaluation import metrics
from trainer.losses import Member, TeacherPredictions, join_member
from trainer.session import Session, training, weight_files
from trainer.session.features import connections, fold_tapped, teacher_taps
from trainer.session.loss import check_groups, student_loss
from trainer.session.networks import Networks
from trainer.session.qualification import qualify
from trainer.session.train_state import Follow, TrainSpec
from trainer.stages.soft_targets import caches
from trainer.train import objective


def student(session: Session, *, follow: Follow = lambda step, metrics: None) -> None:
    """Writes student/seed-S/model.keras for each seed, unless it is there.

    The training of the first seed is what `follow` follows.
    """
    waiting = [
        seed
        for seed in session.config.seeds
        if not training.is_finished(
            session.devices, session.networks.folder("student", seed)
        )
    ]
    if not waiting:
        return
    make_spec = make_specs(session)
    for seed in waiting:
        spec = make_spec(seed)
        if seed == session.config.seeds[0]:
            spec = dataclasses.replace(spec, follow=follow)
        training.train(session, spec)


def make_specs(session: Session) -> Callable[[int], TrainSpec]:
    """A function from a seed to the specification of its student's training.

    The teachers are live, or their predictions are on disk, as the config says.

    Raises:
      ConfigError: the teachers are not there, or know too little, or groups are
        split.
      SoftTargetsError: a cache is not there, or not for this run, or damaged.
    """
    check_groups(session.config, session.devices, has_begun=True)
    qualify(session.networks)
    cached = (
        caches.open_caches(session.networks)
        if session.config.distill.is_cached
        else None
    )

    def make_spec(seed: int) -> TrainSpec:
        model = session.networks.build("student", seed)
        weight_files.check_whole(session.networks, "student", model)
        if cached:
            signals = cached.signals()
        else:
            signals = online(session.networks, session.networks.teachers)
        return distillation(
            session.networks,
            model,
            signals,
            seed,
            teachers=session.networks.teachers,
            auxiliary=cached,
        )

    return make_spec


def online(
    networks: Networks, teachers: Sequence[keras.Model]
) -> list[Callable[[data.Batch], Member]]:
    """The signals of frozen teachers that run in each step."""
    alone = networks.devices.compiles_alone("teacher")
    taps = [
        teacher_taps(networks.config, i, teacher) for i, teacher in enumerate(teachers)
    ]
    return [
        soft_targets.online(*fold_tapped(networks, teacher, tapped), xla=alone)
        for teacher, tapped in zip(teachers, taps, strict=True)
    ]


def distillation(
    networks: Networks,
    model: keras.Model,
    signals: Sequence[Callable[[data.Batch], Member]],
    seed: int,
    *,
    teachers: Sequence[keras.Model] = (),
    auxiliary: data.AuxiliaryFeatures | None = None,
) -> TrainSpec:
    """The student `model` learns from the teachers' `signals` and from the labels.

    They may need what batches bring `auxiliary` the images; else the teachers are
    live. The `teachers` themselves are needed where terms are between layers.
    """
    section, is_live = networks.config.student, auxiliary is None
    _, mixing = networks.config.mixing_section("student.train", section.train)
    between = connections(networks, model, teachers, seed=seed)
    return TrainSpec(
        role="student",
        seed=seed,
        section=section.train,
        setting="student.train",
        folder=networks.folder("student", seed),
        weights=section.weights,
        model=model,
        objective=objective.distillation(
            model,
            combine_signals(networks, signals),
            student_loss(networks.datasets, between),
            mixing=mixing,
            seed=seed,
            term_gradients=networks.config.runtime.term_gradients,
            compiles_student=is_live and networks.devices.compiles_alone("student"),
        ),
        examples=networks.datasets.transfer,
        validate=functools.partial(validate, networks),
        views=caches.views(networks.config, seed),
        auxiliary=auxiliary,
    )


def validate(networks: Networks, logits: np.ndarray) -> dict[str, float]:
    """Metrics of validation logits [M, C] against the labels and the teacher.

    Beside those at T = 1 they are the divergence at each temperature of the loss, and
    the teacher's own cross-entropy with the labels of the same examples. A teacher that
    is elsewhere may have no answers on them: there are none against it then.
    """
    found, own = networks.datasets.validate(logits), networks.teacher_validation_logits
    if own is None:
        return found
    found |= metrics.teacher_metrics(logits, own)
    for temperature in networks.config.temperatures:
        teacher = networks.teacher_validation_logits_at(temperature)
        found[f"kl_at_{temperature:g}"] = metrics.mean_kl(logits, teacher, temperature)
    return found | {"teacher_nll": networks.teacher_validation_nll}


def combine_signals(
    networks: Networks, signals: Sequence[Callable[[data.Batch], Member]]
) -> objective.TeacherSignal:
    """The predictions of all of the teacher's networks, by their weights.

    They are over the classes of the data.
    """
    teacher, maps = networks.config.teacher, networks.class_maps
    weights: tuple[float, ...] = (1.0,)
    if isinstance(teacher, EnsembleConfig):
        weights = teacher.weights
    return lambda batch: TeacherPredictions(
        members=[
            join_member(signal(batch), class_map.groups) if class_map else signal(batch)
            for signal, class_map in zip(signals, maps, strict=True)
        ],
        weights=weights,
    )
