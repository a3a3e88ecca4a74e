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
from trainer.config.selection import ACCURACY, Metric

Share = Annotated[float, between(0, 1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SgdOptions:
    """Stochastic gradient descent."""

    # The share of its last update that each update has.
    momentum: Annotated[float, FRACTION] = 0.9
    nesterov: bool = False  # looks one update ahead (Nesterov, 1983)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamOptions:
    """Adam (Kingma and Ba, 2015)."""

    beta_1: Annotated[float, FRACTION] = 0.9  # decay of the mean of gradients
    beta_2: Annotated[float, FRACTION] = 0.999  # decay of the mean of their squares
    epsilon: Positive = 1e-7  # is added to the root of the latter, which divides


OPTIMIZERS: Mapping[str, type] = {
    "adam": AdamOptions,
    "adamw": AdamOptions,  # with a weight_decay, which is decoupled here for all
    "sgd": SgdOptions,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConstantOptions:
    """The learning rate stays at its peak after the warm-up."""

    # Updates over which it rises linearly from 0 to the peak.
    warmup_steps: CountOrNone = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class CosineOptions:
    """The learning rate falls along half a cosine after the warm-up."""

    # Updates over which it rises linearly from 0 to the peak.
    warmup_steps: CountOrNone = 0
    final_fraction: Share = 0.0  # the learning rate at the end, as a share of the peak


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepOptions:
    """The learning rate is multiplied by a factor at each milestone."""

    # Updates over which it rises linearly from 0 to the peak.
    warmup_steps: CountOrNone = 0
    # When it is multiplied, as shares of the steps after the warm-up, ascending.
    milestones: Annotated[tuple[Share, ...], FILLED] = (0.5, 0.75)
    factor: Share = 0.1  # what it is multiplied by


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
    global_batch_size: Count  # examples of a step, of all replicas together
    # The length of the training in passes over the data; 0: see steps.
    epochs: Annotated[float, between(0, MOST)] = 0.0
    # The length of the training in optimizer updates; 0: see epochs.
    steps: CountOrNone = 0
    learning_rate: Positive = 1e-3  # the peak of the schedule
    optimizer: str = "adam"  # the rule by which gradients change weights
    # The options of the optimizer.
    optimizer_options: Annotated[Any, OptionsOf("optimizer", OPTIMIZERS)] = (
        AdamOptions()
    )
    # The augmentation, or a list of several; "inherit": that of data.augment.
    augment: Augment = "inherit"
    # The options of the augmentation, or of each in the list.
    augment_options: Annotated[
        Any, OptionsOf("augment", {"inherit": InheritedAugmentOptions, **AUGMENTATIONS})
    ] = InheritedAugmentOptions()
    schedule: str = "constant"  # how the learning rate goes
    # The options of the schedule.
    schedule_options: Annotated[Any, OptionsOf("schedule", SCHEDULES)] = (
        ConstantOptions()
    )
    # The share of the hard target that is spread over all classes.
    label_smoothing: Annotated[float, FRACTION] = 0.0
    # Micro-batches of a step, of which a replica has one in memory at a time.
    accumulate: Count = 1
    clip_norm: NotNegative = 0.0  # the largest norm of the mean gradient; 0: none
    # The share by which weights shrink each step, times the learning rate.
    weight_decay: NotNegative = 0.0
    # Names of the variables that do not decay.
    weight_decay_exclude: tuple[Annotated[str, FILLED], ...] = ("bias", "beta", "gamma")
    # The decay of averaged weights, which are evaluated and kept; 0: the last ones are.
    ema: Annotated[float, FRACTION] = 0.0
    # The metric of the validation split that selects the best step.
    select_by: Metric = ACCURACY
    # Updates without a better validation after which a training ends; 0: it does not.
    patience_steps: CountOrNone = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(MixConfig, _Training):
    """Settings of one model's training, which mixes the labels of mixed pairs too."""
