"""Checks of settings against one another, section by section."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from trainer.config.augmentations import Augment
from trainer.config.cadence import loop_steps
from trainer.config.distill import Distill
from trainer.config.errors import ConfigError, gathering, header
from trainer.config.models import (
    APPLICATIONS,
    HUB,
    MEMORY,
    OWN,
    SavedOptions,
    is_function,
    is_hub,
)
from trainer.config.runtime import RuntimeConfig
from trainer.config.training import SgdOptions, StepOptions, TrainConfig


def check_unique(path: str, values: tuple[int, ...]) -> None:
    """Refuses a list that names a value twice."""
    if len(set(values)) < len(values):
        raise ConfigError(
            f"{path} must name each value once, got {list(values)}; "
            f"for example --set='{path}={sorted(set(values))}'"
        )


def check_train(path: str, train: TrainConfig, runtime: RuntimeConfig) -> None:
    """Refuses a training section, named `path`, that contradicts itself."""
    with gathering() as gather:
        gather(_check_length, path, train)
        gather(_check_parts, path, train, runtime)
        gather(_check_optimizer, path, train)
        gather(_check_milestones, path, train.schedule_options)


def _check_length(path: str, train: TrainConfig) -> None:
    if (train.epochs > 0) == (train.steps > 0):
        raise ConfigError(
            f"{path} must have exactly one of epochs and steps above 0, "
            f"got epochs = {train.epochs} and steps = {train.steps}; "
            f"{'remove' if train.steps else 'set'} one"
        )
    warmup_steps = train.schedule_options.warmup_steps
    if 0 < train.steps <= warmup_steps:
        raise ConfigError(
            f"{path}.schedule_options.warmup_steps must be below {path}.steps "
            f"({train.steps}), got {warmup_steps}; lower it or train longer"
        )


def _check_parts(path: str, train: TrainConfig, runtime: RuntimeConfig) -> None:
    parts = runtime.logical_cpus * train.accumulate
    if train.global_batch_size % parts:
        up = -(-train.global_batch_size // parts) * parts
        raise ConfigError(
            f"{path}.global_batch_size must be a multiple of runtime.logical_cpus "
            f"({runtime.logical_cpus}) times {path}.accumulate ({train.accumulate}), "
            f"got {train.global_batch_size}; nearest above: {up}"
        )


def _check_optimizer(path: str, train: TrainConfig) -> None:
    options = train.optimizer_options
    if train.optimizer == "adamw" and train.weight_decay == 0:
        raise ConfigError(
            f"{path}.optimizer 'adamw' needs a weight_decay above 0, got 0.0; set "
            f"{path}.weight_decay, for example to 0.01, or use 'adam'"
        )
    if isinstance(options, SgdOptions) and options.nesterov and options.momentum == 0:
        raise ConfigError(
            f"{path}.optimizer_options.nesterov needs a momentum above 0, got 0.0; "
            "set momentum, or nesterov = false"
        )


def _check_milestones(path: str, options: object) -> None:
    if isinstance(options, StepOptions):
        milestones = list(options.milestones)
        if milestones != sorted(set(milestones)):
            raise ConfigError(
                f"{path}.schedule_options.milestones must ascend, got {milestones}; "
                f"for example {sorted(set(milestones))}"
            )


def check_weights(path: str, network: Any) -> None:
    """Refuses weights that the model of the section `path` cannot have.

    `network` is a TeacherConfig or a StudentConfig.
    """
    options = network.options
    with gathering() as gather:
        gather(_check_preset, path, network.model)
        gather(_check_named_weights, path, network.model, network.weights)
        if isinstance(options, SavedOptions):
            gather(_check_saved, path, network)
            gather(_check_trained, path, options, is_trained=bool(network.train))


def _check_saved(path: str, network: Any) -> None:
    if network.weights:
        raise ConfigError(
            f"{path}.weights must be empty for model 'saved', got {network.weights!r}; "
            f"{path}.options.path holds the weights"
        )
    if network.precision != "inherit":
        raise ConfigError(
            f"{path}.precision must be 'inherit' for model 'saved', got "
            f"{network.precision!r}; the file's own precision holds, remove the setting"
        )


def _check_trained(path: str, options: SavedOptions, *, is_trained: bool) -> None:
    if is_trained and not options.is_keras_file:
        raise ConfigError(
            f"{path}.options.path must end in .keras for a model that is trained, got "
            f"{options.path!r}: a SavedModel is for inference only; give a .keras file"
        )


def _check_preset(path: str, model: str) -> None:
    if is_hub(model) and not model.removeprefix(HUB):
        raise ConfigError(
            f"{path}.model must name a preset of KerasHub, got {model!r} alone; write "
            f"{HUB}NAME, or {HUB}FOLDER of one that save_to_preset wrote"
        )


def _check_named_weights(path: str, model: str, weights: str) -> None:
    """Refuses weights by a name that the model does not have."""
    if weights == "imagenet" and model not in APPLICATIONS:
        raise ConfigError(
            f"{path}.weights = 'imagenet' needs a model of keras.applications, got "
            f"{path}.model = {model!r}; give the path of a file"
        )
    brings_own = model == MEMORY or is_hub(model) or is_function(model)
    if weights == OWN and not brings_own:
        raise ConfigError(
            f"{path}.weights = {OWN!r} needs a model that comes with weights, "
            f"{HUB}PRESET or package.module:function, got {path}.model = {model!r}; "
            "give the path of a file"
        )


def check_teacher(path: str, teacher: Any) -> None:
    """Refuses a teacher, named `path`, whose last layer or whole would know nothing.

    `teacher` is of trainer.config.teachers.TeacherConfig.
    """
    section = header(path)
    if not (teacher.train or teacher.has_weights):
        raise ConfigError(
            f"{path} must have a [{section}.train] section or weights, got neither; "
            f"{path}.weights = {OWN!r} takes those that a function's model or a preset "
            "comes with"
        )
    if teacher.head and not teacher.train:
        raise ConfigError(
            f"[{section}.head] must be followed by a [{section}.train] section, got "
            f"none; rename it to [{section}.train], or add one"
        )


def check_members(members: Sequence[Any]) -> None:
    """Refuses an ensemble of one network, or of one network twice.

    `members` are of trainer.config.teachers.MemberConfig.
    """
    if len(members) < 2:
        raise ConfigError(
            f"teacher.members must be two networks or more, got {len(members)}; one "
            "network is written as [teacher]"
        )
    # What makes a network: without a training its seed does not.
    networks = [
        dataclasses.replace(member, weight=1.0, seed=member.seed if member.train else 0)
        for member in members
    ]
    for i, network in enumerate(networks):
        if network in networks[:i]:
            first = networks.index(network)
            other = "another seed" if network.train else "other weights"
            raise ConfigError(
                f"teacher.members[{i}] must differ from teacher.members[{first}], got "
                f"the same network twice; give one of them {other}, or leave it out "
                f"and set teacher.members[{first}].weight"
            )


def check_views(distill: Distill, *, augment: Augment) -> None:
    """Refuses views that would all be the same."""
    if distill.is_cached and distill.views > 1 and augment == "none":
        raise ConfigError(
            "distill.views must be 1 where student.train.augment is 'none', got "
            f"{distill.views}; all views would be the same"
        )


def check_profile(runtime: RuntimeConfig) -> None:
    """Refuses steps that loops do not start or end at."""
    steps, unit = list(runtime.profile_steps), loop_steps(runtime)
    if steps and not (len(steps) == 2 and steps[0] < steps[1]):
        raise ConfigError(
            "runtime.profile_steps must be two rising step numbers, or [] for no "
            f"profile, got {steps}; for example "
            f"--set='runtime.profile_steps={[2 * unit, 3 * unit]}'"
        )
    if any(step % unit for step in steps):
        low, high = steps[0] // unit * unit, -(-steps[1] // unit) * unit
        raise ConfigError(
            "runtime.profile_steps must be multiples of runtime.steps_per_loop "
            f"({unit}), got {steps}; nearest around: {[low, high]}"
        )
