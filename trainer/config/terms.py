"""One loss against the teacher, as an entry of distill.terms."""

import dataclasses
import re
from typing import Annotated, Any, Literal

from trainer.config.errors import ConfigError, gathering
from trainer.config.losses import LOSSES, OPTIONS, OWN, Loss
from trainer.config.rules import FILLED, CountOrNone, NotNegative, OptionsOf, between

# Its square is a factor of the loss, and it divides logits: float32 holds both.
Temperature = Annotated[float, between(1e-3, 1e6)]
_TEMPERATURE = 4.0

# One layer by its path, or several.
Layers = str | tuple[Annotated[str, FILLED], ...]

EMBEDDING = "embedding"  # names the input of a model's last Dense layer
_MEMBER = re.compile(r"members\[(\d+)\]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TermConfig:
    """One loss against the teacher: weight * loss, averaged over the examples."""

    loss: Annotated[str, FILLED]  # a known name, or package.module:function
    # The options of the loss.
    options: Annotated[Any, OptionsOf("loss", OPTIONS, own=True)]
    weight: NotNegative = 1.0  # the factor of the loss; weights need not add up to 1
    temperature: Temperature = _TEMPERATURE  # divides both models' logits
    # Subtracts each example's mean from both models' logits and divides by their
    # standard deviation first.
    standardize: bool = False
    # Updates over which the weight rises linearly from 0; 0: it does not.
    warmup_steps: CountOrNone = 0
    # Epochs over which the weight rises, in place of warmup_steps.
    warmup_epochs: NotNegative = 0.0
    # How weight and temperature go, from the first step to the last, to the two values
    # below.
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    final_weight: NotNegative | None = None  # the last weight; absent: it stays
    # The last temperature; absent: it stays.
    final_temperature: Temperature | None = None
    # The network of an ensemble that the loss is against, as "members[0]"; "": all, or
    # the only teacher there is.
    teacher: str = ""
    # The layer of the student that a loss between layers compares, by its path, as in
    # "backbone/conv4_block6_out"; several as lists, pair by pair. "embedding" is the
    # input of the last Dense layer. `python -m trainer layers` prints all.
    student_layer: Layers = ""
    # The layer of the teacher that it is compared with, likewise.
    teacher_layer: Layers = ""

    @property
    def is_own(self) -> bool:
        """Whether the loss is a user's own function."""
        return OWN in self.loss

    @property
    def row(self) -> Loss:
        """The needs of the loss; of a user's own only what can be known unseen."""
        return Loss(function=self.loss) if self.is_own else LOSSES[self.loss]

    @property
    def is_of_features(self) -> bool:
        """Whether the loss compares layers, and not logits at a temperature."""
        return bool(self.row.features)

    @property
    def student_layers(self) -> tuple[str, ...]:
        """The layers of the student that it compares."""
        return _as_tuple(self.student_layer)

    @property
    def teacher_layers(self) -> tuple[str, ...]:
        """The layers of the teacher that it compares, one for each of the student's."""
        return _as_tuple(self.teacher_layer)

    @property
    def member(self) -> int | None:
        """The number of the ensemble's network that it is against; None: of all."""
        found = _MEMBER.fullmatch(self.teacher)
        return int(found[1]) if found else None

    @property
    def serves_top_k(self) -> bool:
        """Whether a cache of the k largest logits is enough."""
        is_fixed = self.final_temperature is None
        return self.row.serves_top_k and is_fixed and not self.standardize

    @property
    def largest_weight(self) -> float:
        """The weight at its highest."""
        return max(self.weight, self.final_weight or 0.0)


def check_term(path: str, term: TermConfig) -> None:
    """Refuses settings of the term at `path` that contradict its loss or each other."""
    with gathering() as gather:
        gather(_check_layers if term.is_of_features else _check_logits, path, term)
        gather(_check_schedule, path, term)


def check_member(path: str, term: TermConfig, num_teachers: int) -> None:
    """Looks whether the term at `path` names one of several teachers, or none of one.

    A loss between layers cannot be against several at once.
    """
    if num_teachers == 1:
        if term.teacher:
            raise ConfigError(
                f"{path}.teacher must be '' where there is one [teacher], got "
                f"{term.teacher!r}; remove it"
            )
        return
    names = [f"members[{i}]" for i in range(num_teachers)]
    wanted = [*names, *([] if term.is_of_features else [""])]
    if term.teacher not in wanted:
        raise ConfigError(
            f"{path}.teacher must be {' or '.join(map(repr, wanted))} for loss "
            f"{term.loss!r} and this ensemble, got {term.teacher!r}; set one of them"
        )


def _as_tuple(layers: Layers) -> tuple[str, ...]:
    if isinstance(layers, str):
        return (layers,) if layers else ()
    return layers


def _check_layers(path: str, term: TermConfig) -> None:
    for name in ("student_layer", "teacher_layer"):
        if not getattr(term, name):
            raise ConfigError(
                f"{path}.{name} must name a layer for loss {term.loss!r}, which "
                f"compares layers, got {getattr(term, name)!r}; set 'embedding', the "
                "input of the last Dense layer, or what `python -m trainer layers` "
                "prints"
            )
    student, teacher = term.student_layers, term.teacher_layers
    if len(student) != len(teacher):
        raise ConfigError(
            f"{path} must pair each student_layer with one teacher_layer, got "
            f"{len(student)} ({', '.join(student)}) and {len(teacher)} "
            f"({', '.join(teacher)}); make both lists equally long"
        )
    if term.row.beside == "classifier" and set(teacher) != {EMBEDDING}:
        raise ConfigError(
            f"{path}.teacher_layer must be {EMBEDDING!r} for loss {term.loss!r}, "
            f"because the teacher's last layer classifies it, got "
            f"{term.teacher_layer!r}; set it"
        )
    for name, plain in (
        ("temperature", _TEMPERATURE),
        ("standardize", False),
        ("final_temperature", None),
    ):
        value = getattr(term, name)
        if value != plain:
            raise ConfigError(
                f"{path}.{name} must be absent for loss {term.loss!r}, which is not "
                f"of logits, got {value}; remove it"
            )


def _check_logits(path: str, term: TermConfig) -> None:
    for name in ("student_layer", "teacher_layer"):
        value = getattr(term, name)
        if value:
            between_layers = [n for n, row in LOSSES.items() if row.features]
            raise ConfigError(
                f"{path}.{name} must be absent for loss {term.loss!r}, which is of "
                f"logits, got {value!r}; remove it. Losses between layers are "
                f"{', '.join(between_layers)}"
            )


def _check_schedule(path: str, term: TermConfig) -> None:
    finals = {
        name: value
        for name in ("final_weight", "final_temperature")
        if (value := getattr(term, name)) is not None
    }
    if finals and term.schedule == "constant":
        name, value = next(iter(finals.items()))
        raise ConfigError(
            f"{path}.{name} needs {path}.schedule = 'linear' or 'cosine', got {value} "
            "and 'constant'; set the schedule, or remove the final value"
        )
    if term.schedule != "constant" and not finals:
        raise ConfigError(
            f"{path}.schedule = {term.schedule!r} needs {path}.final_weight or "
            f"{path}.final_temperature, got neither; set one, or 'constant'"
        )
    if term.warmup_steps and term.warmup_epochs:
        raise ConfigError(
            f"{path} must have at most one of warmup_steps and warmup_epochs, got "
            f"{term.warmup_steps} and {term.warmup_epochs}; remove one"
        )
