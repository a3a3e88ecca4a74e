"""Settings of one training: `.train` of a model, `teacher.head` and `finetune`."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from trainer.config.augmentations import AUGMENTATIONS, Augment
from trainer.config.mixing import MixConfig
from trainer.config.rules import (
    FILLED,
    FRACTION,
    MOST,
    Count,
    CountOrNone,
    NotNegative,
    OptionsOf,
    Positive,
    between,
)

Share = Annotated[float, between(0, 1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SgdOptions:
    """Stochastic gradient descent."""

    momentum: Annotated[float, FRACTION] = 0.9
    nesterov: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamOptions:
    """Adam (Kingma and Ba, 2015)."""

    beta_1: Annotated[float, FRACTION] = 0.9
    beta_2: Annotated[float, FRACTION] = 0.999
    epsilon: Positive = 1e-7


OPTIMIZERS: Mapping[str, type] = {
    "adam": AdamOptions,
    "adamw": AdamOptions,  # with a weight_decay, which is decoupled here for all
    "sgd": SgdOptions,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConstantOptions:
    """The learning rate stays at its peak after the warm-up."""

    warmup_steps: CountOrNone = 0  # linear rise from 0 to the peak


@dataclasses.dataclass(frozen=True, kw_only=True)
class CosineOptions:
    """The learning rate falls along half a cosine after the warm-up."""

    warmup_steps: CountOrNone = 0  # linear rise from 0 to the peak
    final_fraction: Share = 0.0  # of the peak, at the end


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepOptions:
    """The learning rate is multiplied by a factor at each milestone."""

    warmup_steps: CountOrNone = 0  # linear rise from 0 to the peak
    # Shares of the steps that follow the warm-up, in ascending order.
    milestones: Annotated[tuple[Share, ...], FILLED] = (0.5, 0.75)
    factor: Share = 0.1


SCHEDULES: Mapping[str, type] = {
    "constant": ConstantOptions,
    "cosine": CosineOptions,
    "step": StepOptions,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class InheritedAugmentOptions:
    """The training sees the images as [data] says."""


# A base, so that its settings come before those of mixed pairs.
@dataclasses.dataclass(frozen=True, kw_only=True)
class _Training:
    global_batch_size: Count  # examples per step, all replicas together
    # Passes over the data; 0: see steps.
    epochs: Annotated[float, between(0, MOST)] = 0.0
    steps: CountOrNone = 0  # optimizer updates; 0: see epochs
    learning_rate: Positive = 1e-3  # the peak of the schedule
    optimizer: str = "adam"
    optimizer_options: Annotated[Any, OptionsOf("optimizer", OPTIMIZERS)] = (
        AdamOptions()
    )
    augment: Augment = "inherit"  # of data.augment, or one of its own
    augment_options: Annotated[
        Any, OptionsOf("augment", {"inherit": InheritedAugmentOptions, **AUGMENTATIONS})
    ] = InheritedAugmentOptions()
    schedule: str = "constant"
    schedule_options: Annotated[Any, OptionsOf("schedule", SCHEDULES)] = (
        ConstantOptions()
    )
    label_smoothing: Annotated[float, FRACTION] = 0.0  # share spread over all classes
    accumulate: Count = 1  # micro-batches that a replica's share is computed in
    clip_norm: NotNegative = 0.0  # of the mean gradient; 0: none
    weight_decay: NotNegative = 0.0  # per step and learning rate
    # Names of the variables that do not decay.
    weight_decay_exclude: tuple[Annotated[str, FILLED], ...] = ("bias", "beta", "gamma")
    ema: Annotated[float, FRACTION] = 0.0  # decay of averaged weights; 0: the last ones
    # Ends a training that has not become better on validation for so long; 0: never.
    patience_steps: CountOrNone = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(MixConfig, _Training):
    """Settings of one model's training, which mixes the labels of mixed pairs too."""
