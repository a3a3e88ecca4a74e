"""Checks of all that later stages need, before the first one spends hours."""

import functools
from collections.abc import Sequence

import keras

from trainer import console, models, optimizers
from trainer.config import TrainConfig, is_run_model
from trainer.devices import distribution
from trainer.session import Session, weight_files
from trainer.session.datasets import Datasets
from trainer.session.features import connections
from trainer.session.loss import check_class_weights, check_groups, check_loss
from trainer.session.mixing import check_mixing
from trainer.session.savable_models import check_saving
from trainer.session.selection import check_selection
from trainer.session.train_state import augmentation
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.cache_memory import check_memory
from trainer.stages.soft_targets.importing import import_answers
from trainer.storage import workdir


def check(session: Session) -> None:
    """Builds what a whole run builds, and trains nothing.

    Answers of a teacher that is elsewhere are imported.

    Raises:
      ConfigError: a model, what is saved of it, its weights, its batch size, its
        schedule, its loss, how it sees the data, what selects it or what is to be
        cached cannot be used.
      DataError: the dataset, a split or the students' share of it cannot be used.
    """
    config = session.config
    if config.distill.is_imported:  # which tells the classes of the teacher
        import_answers(session)
    has_begun = session.devices.workers.broadcast(
        functools.partial(workdir.holds_training, session.path)
    )
    teachers = _build_teachers(session, has_begun=has_begun)
    for network in config.networks:
        check_saving(session.networks, network)
    student = session.networks.build("student", config.seeds[0])
    _tell_random_layers(session, "student", student)
    if config.student.weights:
        weights = config.student.weights
        weight_files.load(session.networks, student, weights, setting="student.weights")
    _check_trainings(session)
    if session.config.distill.is_cached:
        sets = caches.transfer_sets(config, session.datasets)
        num_ids = sum(transfer.num_ids for transfer in sets)
        check_memory(session.networks, num_ids=num_ids)
    check_groups(session.config, session.devices, has_begun=has_begun)
    check_loss(session.datasets)
    check_class_weights(session.datasets)
    check_selection(session.networks)
    _check_layers(session, student, teachers)


def check_training(
    datasets: Datasets, setting: str, train: TrainConfig, num_examples: int
) -> None:
    """Looks whether the section `setting` can train on so many examples.

    Raises:
      ConfigError: its batch size, its schedule, its augmentation or its mixing is not
        for that.
    """
    distribution.per_replica_batch_size(
        train, datasets.devices.num_replicas, setting=setting
    )
    num_steps = optimizers.num_steps(train, num_examples=num_examples)
    optimizers.schedule(train, num_steps=num_steps, setting=setting)
    augmentation(datasets, train, setting=setting)
    check_mixing(datasets, setting, train)


def _check_trainings(session: Session) -> None:
    for setting, section in session.config.trainings.items():
        examples = session.datasets.transfer
        if setting.startswith("teacher."):
            examples = session.datasets.training
        elif setting == "finetune":
            examples = session.datasets.labeled
        check_training(session.datasets, setting, section, len(examples))


def _build_teachers(session: Session, *, has_begun: bool) -> list[keras.Model]:
    """The teachers before their training."""
    built = []
    for role, teacher in session.config.teachers.items():
        model = session.networks.build(role, teacher.seed)
        # Not again: a teacher that has begun is a copy, whose run may be gone.
        if is_run_model(teacher.weights) and not has_begun:
            setting = f"{role}.weights"
            weight_files.load(session.networks, model, teacher.weights, setting=setting)
        if teacher.train or teacher.head:
            _tell_random_layers(session, role, model)
        built.append(model)
    return built


def _tell_random_layers(session: Session, role: str, model: keras.Model) -> None:
    """Says that a model in training draws by Keras's own generators."""
    networks = session.config.networks
    if found := models.random_layers(model):
        session.devices.workers.log_once(
            f"warning: {role}.model {networks[role].model!r} draws in "
            f"training by Keras's own {', '.join(found)}: by other numbers on another "
            "number of replicas; trainer.models.Dropout draws the same on any"
        )


def _check_layers(
    session: Session, student: keras.Model, teachers: Sequence[keras.Model]
) -> None:
    """Connects the layers that terms compare, and tells what is trained for that."""
    between = connections(
        session.networks, student, teachers, seed=session.config.seeds[0]
    )
    adapters = [
        adapter
        for connection in filter(None, between)
        for adapter in filter(None, connection.adapters)
    ]
    if adapters and session.devices.workers.is_chief:
        num_parameters = sum(adapter.count_params() for adapter in adapters)
        console.log(
            f"adapters between layers have {num_parameters:,} parameters, which are "
            "trained with the student and are no part of it"
        )
