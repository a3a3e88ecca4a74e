"""Whether teachers that are used as they are know the classes of this data."""

import dataclasses
import functools
import math

import numpy as np
from etils import epath

from trainer import console
from trainer.config import ConfigError, TeacherConfig
from trainer.config.distill import Distill
from trainer.session.input_check import input_warning
from trainer.session.networks import Networks
from trainer.storage import workdir

IMPORTED = "the imported teacher"  # the role of one that is elsewhere

_ENOUGH = 100  # validation examples, of which chance leaves a verdict
_ERRORS = 3  # standard errors above the share of the largest class


@dataclasses.dataclass(frozen=True, kw_only=True)
class Qualification:
    """The accuracy of a teacher on the validation split, beside that of guessing."""

    role: str
    accuracy: float
    largest_class: float  # its share
    examples: int

    @property
    def chance(self) -> float:
        """The accuracy that guessing the largest class seldom exceeds (1 in 1,000)."""
        share = self.largest_class
        error = math.sqrt(share * (1 - share) / self.examples)
        return share + _ERRORS * error

    @property
    def text(self) -> str:
        """One line for people."""
        return (
            f"{self.role} is used as it is: right on {100 * self.accuracy:.2f} % of "
            f"{self.examples:,} validation examples, of which the largest class has "
            f"{100 * self.largest_class:.2f} %"
        )


def qualify(networks: Networks) -> None:
    """Looks how good the teachers without training are; the chief prints it.

    One that students have begun to learn from in an earlier version is not refused.

    Raises:
      ConfigError: one is not as good as its min_accuracy asks for.
    """
    has_begun = networks.devices.workers.broadcast(
        functools.partial(_have_students_begun, networks.path)
    )
    for found in qualifications(networks):
        if found.role in networks.qualified:  # once is enough
            continue
        # Each before the next, which may refuse the teacher.
        _tell(networks, found.text)
        _tell(networks, _input_warning(networks, found.role))
        section = networks.config.teachers.get(found.role, networks.config.distill)
        _tell(networks, accuracy_warning(found, section, is_refused=not has_begun))
        networks.qualified.add(found.role)


def qualifications(networks: Networks) -> list[Qualification]:
    """Measures each teacher that is used as it is."""
    roles = networks.config.teachers
    if roles and all(_is_trained(section) for section in roles.values()):
        return []
    labels = networks.datasets.validation.labels
    if networks.imported:
        own = networks.teacher_validation_logits
        return [] if own is None else [measure(IMPORTED, own, labels)]
    predictions = networks.map_logits(networks.teachers_validation_logits)
    return [
        measure(role, logits, labels)
        for (role, section), logits in zip(roles.items(), predictions, strict=True)
        if not _is_trained(section)
    ]


def measure(role: str, logits: np.ndarray, labels: np.ndarray) -> Qualification:
    """Measures a teacher by its validation logits [M, C] and the labels [M]."""
    return measure_classes(role, logits.argmax(axis=1), labels)


def measure_classes(
    role: str, predicted: np.ndarray, labels: np.ndarray
) -> Qualification:
    """Measures a teacher by the classes that it predicts [M] and the labels [M]."""
    return Qualification(
        role=role,
        accuracy=float((predicted == labels).mean()),
        largest_class=float(np.bincount(labels).max() / len(labels)),
        examples=len(labels),
    )


def _tell(networks: Networks, sentence: str) -> None:
    if sentence and networks.devices.workers.is_chief:
        console.log(sentence)


def _input_warning(networks: Networks, role: str) -> str:
    if role == IMPORTED:
        return ""
    index = list(networks.config.teachers).index(role)
    logits = networks.teachers_validation_logits[index]
    return input_warning(networks, role, model=networks.teachers[index], logits=logits)


def _have_students_begun(path: epath.Path) -> bool:
    return workdir.holds_training(path, "student", "baseline")


def accuracy_warning(
    found: Qualification, section: TeacherConfig | Distill, *, is_refused: bool = True
) -> str:
    """A warning where the rule cannot refuse; "" where the teacher may teach.

    Raises:
      ConfigError: it is not as good as the section's min_accuracy asks for.
    """
    is_here = found.role != IMPORTED
    setting = f"{found.role if is_here else 'distill'}.min_accuracy"
    if section.min_accuracy is not None:
        if found.accuracy < section.min_accuracy:
            raise ConfigError(
                f"{setting} must be reached on the validation split, got "
                f"{found.accuracy:.4f} instead of {section.min_accuracy:g}; "
                "give a better teacher, or lower it"
            )
        return ""
    if found.accuracy > found.chance:
        return ""
    problem = (
        f"{found.role} must be better than guessing on the validation split, above "
        f"{found.chance:.4f} (the largest class's share and {_ERRORS} standard errors)"
        f", got {found.accuracy:.4f} of {found.examples:,} examples; look at its "
        f"{'options.input' if is_here else 'ids'} and at the order of its classes, or "
        f"set {setting} = 0.0 to use it all the same"
    )
    # Where nearly all are of one class nobody could be above that.
    if found.examples < _ENOUGH or found.chance >= 1 or not is_refused:
        return f"warning: {problem}"
    raise ConfigError(problem)


def _is_trained(section: TeacherConfig) -> bool:
    return bool(section.train or section.head)
