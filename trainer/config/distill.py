"""The distill section: the loss, and where the teacher's predictions come from.

It has two forms. The short one is a Kullback-Leibler divergence beside the loss on the
labels; the long one is a list of terms with free weights.
"""

import dataclasses
from typing import Annotated, Literal

from trainer.config.errors import ConfigError, gathering
from trainer.config.losses import LOSSES, NoLossOptions
from trainer.config.mixing import MixConfig
from trainer.config.rules import FILLED, Count, CountOrNone, NotNegative, Place, between
from trainer.config.terms import (
    EMBEDDING,
    Temperature,
    TermConfig,
    check_member,
    check_term,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TeacherSignal(MixConfig):
    """The settings of the teacher's predictions, which both forms have.

    It is asked, as the student, of mixed pairs, which have no label then.
    """

    # Where the teacher's predictions come from. "online": the teacher runs in each
    # step; "cached": once, before the students; "imported": its predictions are read
    # from files that another program wrote; "auto": the first start chooses.
    soft_targets: Literal["auto", "online", "cached", "imported"] = "auto"
    # The folder of the cache, which runs may share, "": in the workdir; or that of the
    # files, or of the cache that another run has imported from them.
    soft_targets_dir: Place = ""
    # The type of cached logits; float16 takes half the bytes.
    soft_targets_dtype: Literal["float16", "float32"] = "float32"
    top_k: CountOrNone = 0  # how many of the largest logits are cached; 0: all
    # Whether the cache keeps the input of the teacher's last Dense layer too, for
    # losses between layers whose teacher_layer is "embedding".
    cache_embedding: bool = False
    # The type of cached embeddings.
    cache_embedding_dtype: Literal["float16", "float32"] = "float32"
    # Temperatures at which a cache of the top k can be used, beside those of the terms.
    tail_temperatures: tuple[Temperature, ...] = ()
    # Cached views of each augmented image; epoch e shows view e modulo views.
    views: Count = 1
    # For imported predictions: the class of the data that each of the teacher's classes
    # belongs to; absent: they are the same.
    class_map: dict[str, str] | None = None
    # The share of imported predictions that must be right; absent: more than
    # the largest class's, by three standard errors.
    min_accuracy: Annotated[float, between(0, 1)] | None = None

    @property
    def mixes_labels(self) -> bool:
        """False: what the teacher is asked of between its images has no label."""
        return False

    @property
    def is_cached(self) -> bool:
        """Whether students learn from caches; False while "auto" is undecided."""
        return self.soft_targets in ("cached", "imported")

    @property
    def is_imported(self) -> bool:
        """Whether the teacher is elsewhere, and its answers are in files."""
        return self.soft_targets == "imported"


# A base of its own, so that its fields come before those of the signal: earlier
# versions named checkpoints by the settings in their order.
@dataclasses.dataclass(frozen=True, kw_only=True)
class _ShortForm:
    # The weight of the soft loss; that of the loss on the labels is 1 - alpha.
    alpha: Annotated[float, between(0, 1)] = 0.9
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
    terms: Annotated[tuple[TermConfig, ...], FILLED]  # losses against the teacher
    hard_weight: NotNegative = 1.0  # the weight of the loss on the labels
    # Neighbours of the global batch that losses between examples compare; 0: if a term
    # needs groups, the largest even divisor up to 64 of an eighth of a micro-batch.
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
    """The temperatures of the loss, from the lowest to the highest.

    1 where no term is of logits: the models are compared as they predict.
    """
    terms = [term for term in distill.terms if not term.is_of_features]
    found = {term.temperature for term in terms}
    found.update(t for term in terms if (t := term.final_temperature) is not None)
    return tuple(sorted(found)) or (1.0,)


def check(distill: Distill, *, num_teachers: int) -> None:
    """Refuses terms that contradict themselves, each other, the cache or the teachers.

    Several teachers are an ensemble.
    """
    with gathering() as gather:
        gather(_check_weights, distill)
        gather(_check_auto, distill)
        for i, term in enumerate(distill.terms):
            path = f"distill.terms[{i}]"
            gather(check_term, path, term)
            gather(check_member, path, term, num_teachers)
            if distill.is_cached:
                gather(_check_cached, path, term, distill)
        gather(_check_tail, distill)


def _check_weights(distill: Distill) -> None:
    if not any([distill.hard_weight, *(t.largest_weight for t in distill.terms)]):
        raise ConfigError(
            "distill must have a weight above 0 in one of its terms or in "
            "distill.hard_weight, got 0 everywhere; raise one of them"
        )


def _check_tail(distill: Distill) -> None:
    if distill.tail_temperatures and not distill.top_k:
        raise ConfigError(
            "distill.tail_temperatures must be empty where distill.top_k is 0, got "
            f"{list(distill.tail_temperatures)}; a cache of all logits serves at any "
            "temperature"
        )


def _check_cached(path: str, term: TermConfig, distill: Distill) -> None:
    """Refuses a term that needs more of the teacher than a cache keeps."""
    if distill.top_k and not term.serves_top_k:
        raise ConfigError(
            f"{path}, loss {term.loss!r}, needs all of the teacher's logits, whatever "
            f"the temperature, got distill.top_k = {distill.top_k}; set distill.top_k "
            "= 0. From the top k serve "
            f"{', '.join(name for name, row in LOSSES.items() if row.serves_top_k)}"
            ", not standardised and at a fixed temperature"
        )
    kept = {EMBEDDING} if distill.cache_embedding else set()
    if missing := sorted(set(term.teacher_layers) - kept):
        raise ConfigError(
            f"{path}.teacher_layer must be {EMBEDDING!r}, with distill.cache_embedding "
            "= true, where distill.soft_targets is 'cached', because a cache keeps no "
            f"other layer, got {missing[0]!r} and distill.cache_embedding = "
            f"{str(distill.cache_embedding).lower()}; set these, or "
            "distill.soft_targets = 'online'"
        )


def _check_auto(distill: Distill) -> None:
    """Refuses settings of a cache where nobody asks for one."""
    plain = DistillConfig()
    if distill.cache_embedding and distill.soft_targets == "online":
        raise ConfigError(
            "distill.cache_embedding = true needs distill.soft_targets = 'cached', got "
            "'online'; set it, or remove distill.cache_embedding"
        )
    if distill.cache_embedding_dtype != plain.cache_embedding_dtype and not (
        distill.cache_embedding
    ):
        raise ConfigError(
            "distill.cache_embedding_dtype needs distill.cache_embedding = true, got "
            f"{distill.cache_embedding_dtype!r}; set it, or remove the type"
        )
    if distill.soft_targets != "auto":
        return
    for name in (
        *("soft_targets_dir", "soft_targets_dtype", "top_k", "views"),
        "cache_embedding",
    ):
        value = getattr(distill, name)
        if value != getattr(plain, name):
            raise ConfigError(
                f"distill.{name} = {value!r} needs distill.soft_targets = 'cached', "
                f"got 'auto', which keeps one view of all logits in float32 in the "
                f"workdir; set it, or 'online' for a run that began so, or remove "
                f"distill.{name}"
            )
