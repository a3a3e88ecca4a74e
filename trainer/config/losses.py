"""Losses on logits: the options of each, and what it needs.

A new loss is a file in `trainer/losses/` and a row of LOSSES.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

from trainer.config.rules import NotNegative, between

# A user's own losses are package.module:function.
OWN = ":"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoLossOptions:
    """A loss without options."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JensenShannonOptions:
    """The generalised Jensen-Shannon divergence."""

    # Weight of the teacher in the mixture; 0 is kl, 1 is reverse_kl.
    beta: Annotated[float, between(0, 1)] = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class DkdOptions:
    """Decoupled knowledge distillation."""

    target_weight: NotNegative = 1.0  # of the label against the rest; the paper's alpha
    other_weight: NotNegative = 8.0  # among the other classes; the paper's beta


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistOptions:
    """Distillation by correlations."""

    example_weight: NotNegative = 1.0  # between the classes of an example
    class_weight: NotNegative = 1.0  # between the examples of a group, class by class


@dataclasses.dataclass(frozen=True, kw_only=True)
class NkdOptions:
    """Normalised knowledge distillation."""

    gamma: NotNegative = 1.5  # weight of the other classes


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitMseOptions:
    """The squared error of logits."""

    centered: bool = True  # subtracts each example's mean from both models' logits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss on logits, and what it needs."""

    function: str  # module:function, of [B, C] logits to [B]
    options: type = NoLossOptions
    # What it is given of the teacher: probabilities at T, as logits that an ensemble
    # averages; the most probable class; or logits as they are.
    teacher: Literal["probabilities", "class", "logits"] = "probabilities"
    needs_labels: bool = False
    needs_groups: bool = False  # it couples the examples of a group
    serves_top_k: bool = False  # a cache of the k largest logits is enough
    min_classes: int = 2
    zero_part: str = ""  # the part of it that is 0 where there are two classes


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
}

OPTIONS: Mapping[str, type] = {name: loss.options for name, loss in LOSSES.items()}
