"""The layers that the loss of a run compares, and the networks between them."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from trainer import models
from trainer.config import EMBEDDING, Config
from trainer.session.networks import Networks
from trainer.train.connecting import connect
from trainer.train.feature_loss import Connection


def teacher_taps(
    config: Config, member: int, teacher: keras.Model
) -> dict[str, models.Tap]:
    """The places inside of one of the teachers that terms compare."""
    taps: dict[str, models.Tap] = {}
    for i, term in enumerate(config.distill.terms):
        if term.is_of_features and (term.member or 0) == member:
            setting = f"distill.terms[{i}].teacher_layer"
            taps |= models.find_taps(teacher, term.teacher_layers, setting=setting)
    return taps


def fold_tapped(
    networks: Networks, teacher: keras.Model, taps: Mapping[str, models.Tap]
) -> tuple[keras.Model, dict[str, models.Tap]]:
    """The folded teacher, and the places in it that give the values at `taps`."""
    tapped = frozenset(tap.path for tap in taps.values() if not tap.is_input)
    moved = {
        name: dataclasses.replace(
            tap, path=models.folded_path(teacher, tap.path, tapped=tapped)
        )
        for name, tap in taps.items()
    }
    return networks.fold(teacher, tapped), moved


def connections(
    networks: Networks,
    student: keras.Model,
    teachers: Sequence[keras.Model],
    *,
    seed: int,
) -> list[Connection | None]:
    """The networks between the student's layers and the teachers', one for each term.

    None where a term is of logits; `seed` is the student's.

    Raises:
      ConfigError: there is no such layer, or the loss cannot compare what they give.
    """
    found = []
    for i, term in enumerate(networks.config.distill.terms):
        connection = None
        if term.is_of_features:
            teacher, examples = _teacher(networks, teachers, term.member or 0)
            with networks.devices.strategy.scope():
                connection = connect(
                    term,
                    student=student,
                    teacher=teacher,
                    student_examples=networks.inputs("student").examples(),
                    teacher_examples=examples,
                    key=(seed, i),
                    precision=networks.precision("student"),
                    setting=f"distill.terms[{i}]",
                )
        found.append(connection)
    return found


def _teacher(
    networks: Networks, teachers: Sequence[keras.Model], member: int
) -> tuple[keras.Model | dict[str, tuple[int, ...]], np.ndarray | None]:
    """A teacher and inputs of it; of one that is elsewhere its known shapes."""
    if networks.imported:
        embedding = networks.imported.format.embedding
        return ({EMBEDDING: (embedding.size,)} if embedding else {}), None
    role = list(networks.config.teachers)[member]
    return teachers[member], networks.inputs(role).examples()
