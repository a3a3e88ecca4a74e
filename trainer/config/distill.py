"""The distill section: the loss, and where the teacher's predictions come from.

It has two forms. The short one is a Kullback-Leibler divergence beside the loss on the
labels; the long one is a list of terms with free weights.
"""

import dataclasses
from typing import Annotated, Any, Literal

from trainer.config.errors import ConfigError
from trainer.config.losses import LOSSES, OPTIONS, OWN, Loss, NoLossOptions
from trainer.config.rules import (
    FILLED,
    Count,
    CountOrNone,
    NotNegative,
    OptionsOf,
    Place,
    between,
)

# Its square is a factor of the loss, and it divides logits: float32 holds both.
Temperature = Annotated[float, between(1e-3, 1e6)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TermConfig:
    """One loss against the teacher: weight * loss, averaged over the examples."""

    loss: Annotated[str, FILLED]  # a name of LOSSES, or package.module:function
    options: Annotated[Any, OptionsOf("loss", OPTIONS, own=True)]
    weight: NotNegative = 1.0  # free: weights need not add up to 1
    temperature: Temperature = 4.0  # divides both models' logits
    # Subtracts each example's mean from both models' logits and divides by their
    # standard deviation first.
    standardize: bool = False
    # The weight rises linearly from 0 over one of these; 0: it does not.
    warmup_steps: CountOrNone = 0
    warmup_epochs: NotNegative = 0.0
    # From the first step to the last, to the two values below.
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    final_weight: NotNegative | None = None  # absent: the weight stays
    final_temperature: Temperature | None = None  # absent: the temperature stays

    @property
    def is_own(self) -> bool:
        """Whether the loss is a user's own function."""
        return OWN in self.loss

    @property
    def row(self) -> Loss:
        """The needs of the loss; of a user's own only what can be known unseen."""
        return Loss(function=self.loss) if self.is_own else LOSSES[self.loss]

    @property
    def serves_top_k(self) -> bool:
        """Whether a cache of the k largest logits is enough."""
        is_fixed = self.final_temperature is None
        return self.row.serves_top_k and is_fixed and not self.standardize

    @property
    def largest_weight(self) -> float:
        """The weight at its highest."""
        return max(self.weight, self.final_weight or 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TeacherSignal:
    """The settings of the teacher's predictions, which both forms have."""

    # Share of the pairs of images that are mixed, for teacher and student alike.
    mixup: Annotated[float, between(0, 1)] = 0.0
    # "online": the teacher runs in each step; "cached": once, before the students;
    # "auto": the first start chooses, see trainer.config.soft_targets.
    soft_targets: Literal["auto", "online", "cached"] = "auto"
    soft_targets_dir: Place = (
        ""  # of the cache, which runs may share; "": in the workdir
    )
    soft_targets_dtype: Literal["float16", "float32"] = "float32"  # of cached logits
    top_k: CountOrNone = 0  # largest logits that are cached; 0: all
    # At which a cache of the top k can be used, beside those of the terms.
    tail_temperatures: tuple[Temperature, ...] = ()
    views: Count = 1  # of each augmented image; epoch e shows view e modulo views

    @property
    def is_cached(self) -> bool:
        """Whether students learn from caches; False while "auto" is undecided."""
        return self.soft_targets == "cached"


# A base of its own, so that its fields come before those of the signal: earlier
# versions named checkpoints by the settings in their order.
@dataclasses.dataclass(frozen=True, kw_only=True)
class _ShortForm:
    alpha: Annotated[float, between(0, 1)] = 0.9  # weight of the soft loss
    temperature: Temperature = 4.0  # divides both models' logits


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillConfig(_TeacherSignal, _ShortForm):
    """loss = alpha * soft_loss + (1 - alpha) * hard_loss."""

    @property
    def terms(self) -> tuple[TermConfig, ...]:
        """The one term that it is short for."""
        return (
            TermConfig(
                loss="kl",
                options=NoLossOptions(),
                weight=self.alpha,
                temperature=self.temperature,
            ),
        )

    @property
    def term_names(self) -> tuple[str, ...]:
        """The names of the terms' metrics."""
        return ("soft_loss",)

    @property
    def hard_weight(self) -> float:
        """The weight of the loss on the labels."""
        return 1.0 - self.alpha

    @property
    def group_size(self) -> int:
        """0, because no term couples examples."""
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _LongForm:
    terms: Annotated[tuple[TermConfig, ...], FILLED]
    hard_weight: NotNegative = 1.0  # of the loss on the labels
    # Neighbours of the global batch that losses between examples see together; 0: a
    # size that one to eight replicas share, where a term needs one.
    group_size: CountOrNone = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillTermsConfig(_TeacherSignal, _LongForm):
    """loss = the sum of the terms' weight * loss + hard_weight * hard_loss."""

    @property
    def term_names(self) -> tuple[str, ...]:
        """The names of the terms' metrics: "kl", and "kl[1]" for the second of them."""
        losses = [term.loss for term in self.terms]
        counts = [losses[:i].count(loss) for i, loss in enumerate(losses)]
        return tuple(
            f"{loss}[{count}]" if count else loss
            for loss, count in zip(losses, counts, strict=True)
        )


Distill = DistillConfig | DistillTermsConfig


def temperatures(distill: Distill) -> tuple[float, ...]:
    """The temperatures of the loss, from the lowest to the highest."""
    found = {term.temperature for term in distill.terms}
    last = (term.final_temperature for term in distill.terms)
    return tuple(sorted(found.union(t for t in last if t is not None)))


def check(distill: Distill) -> None:
    """Refuses terms that contradict themselves, each other, or the cache."""
    if not any([distill.hard_weight, *(t.largest_weight for t in distill.terms)]):
        raise ConfigError(
            "distill must have a weight above 0 in one of its terms or in "
            "distill.hard_weight, got 0 everywhere; raise one of them"
        )
    _check_mixup(distill)
    _check_auto(distill)
    for i, term in enumerate(distill.terms):
        _check_schedule(f"distill.terms[{i}]", term)
        if distill.top_k and distill.is_cached and not term.serves_top_k:
            raise ConfigError(
                f"distill.terms[{i}], loss {term.loss!r}, needs all of the teacher's "
                f"logits at one temperature or at all, got distill.top_k = "
                f"{distill.top_k}; set distill.top_k = 0. From the top k serve "
                f"{', '.join(name for name, row in LOSSES.items() if row.serves_top_k)}"
                ", not standardised and at a fixed temperature"
            )
    if distill.tail_temperatures and not distill.top_k:
        raise ConfigError(
            "distill.tail_temperatures must be empty where distill.top_k is 0, got "
            f"{list(distill.tail_temperatures)}; a cache of all logits serves at any "
            "temperature"
        )


def _check_mixup(distill: Distill) -> None:
    """Refuses what mixed images have not: a label, or soft targets known before."""
    if not distill.mixup:
        return
    if distill.hard_weight and isinstance(distill, DistillConfig):
        raise ConfigError(
            "distill.mixup needs distill.alpha = 1, because mixed images have no "
            f"label, got {distill.alpha}; set distill.alpha = 1.0, or distill.mixup = 0"
        )
    if distill.hard_weight:
        raise ConfigError(
            "distill.mixup needs distill.hard_weight = 0, because mixed images have no "
            f"label, got {distill.hard_weight}; set it, or distill.mixup = 0"
        )
    for i, term in enumerate(distill.terms):
        if term.row.needs_labels:
            raise ConfigError(
                f"distill.terms[{i}], loss {term.loss!r}, needs the label of each "
                f"example, which mixed images do not have, got distill.mixup = "
                f"{distill.mixup}; set it to 0, or remove the term"
            )
    if distill.is_cached:
        raise ConfigError(
            "distill.mixup needs distill.soft_targets = 'online', because other images "
            f"are mixed in each step, got {distill.soft_targets!r}; set it, or "
            "distill.mixup = 0"
        )


def _check_auto(distill: Distill) -> None:
    """Refuses settings of a cache where nobody asks for one."""
    if distill.soft_targets != "auto":
        return
    plain = DistillConfig()
    for name in ("soft_targets_dir", "soft_targets_dtype", "top_k", "views"):
        value = getattr(distill, name)
        if value != getattr(plain, name):
            raise ConfigError(
                f"distill.{name} = {value!r} needs distill.soft_targets = 'cached', "
                f"got 'auto', which keeps one view of all logits in float32 in the "
                f"workdir; set it, or 'online' for a run that began so, or remove "
                f"distill.{name}"
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
