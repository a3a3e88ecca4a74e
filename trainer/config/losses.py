"""Losses against a teacher: the options of each, and what it needs.

A new loss is a file in `trainer/losses/` and a row of LOSSES.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from trainer.config.rules import NotNegative, between

# A user's own losses are package.module:function.
OWN = ":"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoLossOptions:
    """A loss without options."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JensenShannonOptions:
    """The generalised Jensen-Shannon divergence."""

    # Weight of the teacher in the mixture; by convention 0 is kl, 1 is reverse_kl.
    beta: Annotated[float, between(0, 1)] = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class DkdOptions:
    """Decoupled knowledge distillation."""

    # The weight of the label against the rest; the paper's alpha.
    target_weight: NotNegative = 1.0
    # The weight among the other classes; the paper's beta.
    other_weight: NotNegative = 8.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistOptions:
    """Distillation by correlations."""

    # The weight of correlations over the classes of an example (inter-class).
    example_weight: NotNegative = 1.0
    # The weight of those over the examples of a group, class by class (intra-class).
    class_weight: NotNegative = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class NkdOptions:
    """Normalised knowledge distillation."""

    gamma: NotNegative = 1.5  # the weight of the classes other than the label


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitMseOptions:
    """The squared error of logits."""

    centered: bool = True  # subtracts each example's mean from both models' logits


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """A loss between layers, and the trained layer that makes channels equal."""

    # What makes channels equal. "linear": a 1x1 convolution or Dense layer on the
    # student's side, which no saved student has; "none": they are equal as they are.
    adapter: Literal["linear", "none"] = "linear"
    batch_norm: bool = False  # BatchNormalization after the adapter


@dataclasses.dataclass(frozen=True, kw_only=True)
class RkdOptions:
    """Relational knowledge distillation."""

    distance_weight: NotNegative = 25.0  # the weight of the distances of pairs
    angle_weight: NotNegative = 50.0  # the weight of the angles of triples


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContrastiveOptions(AdapterOptions):
    """The contrastive loss."""

    tau: Annotated[float, between(1e-3, 1e3)] = 0.1  # divides the cosines


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss against the teacher, and what it needs."""

    function: str  # module:function, of logits [B, C] or of features, to [B]
    options: type = NoLossOptions
    # What it sees of a layer of each model; "": it is of logits. "places": values at
    # the same places, or of none; "maps": those alone that have places; "vector": the
    # average over all places; "any": the values as they are, of any shape.
    features: Literal["", "places", "maps", "vector", "any"] = ""
    # What it is given besides: the variance that its adapter has, or the classes that
    # the teacher's last layer makes of the student's values.
    beside: Literal["", "variance", "classifier"] = ""
    # What it is given of the teacher: probabilities at T, as logits that an ensemble
    # averages; the most probable class; or logits as they are.
    teacher: Literal["probabilities", "class", "logits"] = "probabilities"
    needs_labels: bool = False
    needs_groups: bool = False  # it couples the examples of a group
    serves_top_k: bool = False  # a cache of the k largest logits is enough
    min_classes: int = 2
    zero_part: str = ""  # the part of it that is 0 where there are two classes

    def arguments(self, options: Any) -> dict[str, Any]:
        """The `options` that its function takes: those that are of no adapter."""
        given = dataclasses.asdict(options)
        if isinstance(options, AdapterOptions):
            for field in dataclasses.fields(AdapterOptions):
                del given[field.name]
        return given


LOSSES: Mapping[str, Loss] = {
    "kl": Loss(function="trainer.losses:soft_loss", serves_top_k=True),
    "reverse_kl": Loss(function="trainer.losses:reverse_kl_loss", serves_top_k=True),
    "jensen_shannon": Loss(
        function="trainer.losses:jensen_shannon_loss",
        options=JensenShannonOptions,
        serves_top_k=True,
    ),
    "dkd": Loss(
        function="trainer.losses:dkd_loss",
        options=DkdOptions,
        needs_labels=True,
        zero_part="its second part",
    ),
    "dist": Loss(
        function="trainer.losses:dist_loss",
        options=DistOptions,
        needs_groups=True,
        # The correlation of two numbers is 1 or -1.
        min_classes=3,
    ),
    "nkd": Loss(
        function="trainer.losses:nkd_loss",
        options=NkdOptions,
        needs_labels=True,
        zero_part="its second part",
    ),
    "wsl": Loss(function="trainer.losses:wsl_loss", needs_labels=True),
    "hard_targets": Loss(
        function="trainer.losses:hard_target_loss", teacher="class", serves_top_k=True
    ),
    "logit_mse": Loss(
        function="trainer.losses:logit_mse_loss",
        options=LogitMseOptions,
        teacher="logits",
    ),
    "hint": Loss(
        function="trainer.losses:hint_loss",
        options=AdapterOptions,
        features="places",
        serves_top_k=True,
    ),
    "attention": Loss(
        function="trainer.losses:attention_loss", features="maps", serves_top_k=True
    ),
    "similarity": Loss(
        function="trainer.losses:similarity_loss",
        features="any",
        needs_groups=True,
        serves_top_k=True,
    ),
    "rkd": Loss(
        function="trainer.losses:rkd_loss",
        options=RkdOptions,
        features="vector",
        needs_groups=True,
        serves_top_k=True,
    ),
    "pkt": Loss(
        function="trainer.losses:pkt_loss",
        features="vector",
        needs_groups=True,
        serves_top_k=True,
    ),
    "contrastive": Loss(
        function="trainer.losses:contrastive_loss",
        options=ContrastiveOptions,
        features="vector",
        needs_groups=True,
        serves_top_k=True,
    ),
    "vid": Loss(
        function="trainer.losses:vid_loss",
        options=AdapterOptions,
        features="places",
        beside="variance",
        serves_top_k=True,
    ),
    "cosine": Loss(
        function="trainer.losses:cosine_loss",
        options=AdapterOptions,
        features="places",
        serves_top_k=True,
    ),
    "srrl": Loss(
        function="trainer.losses:srrl_loss",
        options=AdapterOptions,
        features="vector",
        beside="classifier",
    ),
}

OPTIONS: Mapping[str, type] = {name: loss.options for name, loss in LOSSES.items()}
