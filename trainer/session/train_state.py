"""One training before its first step: what learns from what, and from which step on."""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
from etils import epath

from trainer import console, data, optimizers
from trainer.config import TrainConfig, is_earlier_name, run_name
from trainer.devices import distribution
from trainer.session import weight_files
from trainer.session.datasets import Datasets
from trainer.session.mixing import check_mixing
from trainer.session.networks import Networks
from trainer.session.savable_models import check_saving
from trainer.session.selection import check_metric
from trainer.storage.workdir import CHECKPOINTS
from trainer.train import objective, step
from trainer.train.checkpoint import Checkpoints, newest_intact
from trainer.train.checkpoint_file import Progress

# Is told of the evaluation after a step, once it is written; may end the training.
Follow = Callable[[int, dict[str, float]], None]


def training_title(role: str, seed: int) -> str:
    """The name of a training on the terminal."""
    return f"{role.replace('_', ' ')} seed {seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """The specification of one training."""

    role: str  # see trainer.storage.workdir.ROLES
    seed: int  # of the data order and the dropout
    section: TrainConfig
    setting: str  # its name in messages, such as "student.train"
    folder: epath.Path
    weights: str  # the file to start from; "": from those the model has
    model: keras.Model
    objective: objective.Objective  # of each step, by each replica
    examples: data.Examples
    validate: Callable[[np.ndarray], dict[str, float]]  # of validation logits [M, C]
    views: data.Views  # of the examples, where they are augmented
    auxiliary: data.AuxiliaryFeatures | None = (
        None  # what batches bring with the examples
    )
    follow: Follow = lambda step, metrics: None

    @property
    def title(self) -> str:
        """Its name on the terminal."""
        return training_title(self.role, self.seed)

    @property
    def network(self) -> str:
        """The section of its model, such as "student"."""
        owner = self.setting.removesuffix(".train").removesuffix(".head")
        return "student" if owner == "finetune" else owner

    @property
    def num_steps(self) -> int:
        """Optimizer updates of the whole training."""
        return optimizers.num_steps(self.section, num_examples=len(self.examples))

    @property
    def epoch_steps(self) -> float:
        """Optimizer updates of an epoch, whose last one may go into the next."""
        return len(self.examples) / self.section.global_batch_size

    @property
    def schedule(self) -> optimizers.Schedule:
        """The learning rate of each step."""
        return optimizers.schedule(
            self.section, num_steps=self.num_steps, setting=self.setting
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """The state of a training: its update, its checkpoints and its compiled step."""

    update: optimizers.OptimizerUpdate
    checkpoints: Checkpoints
    progress: Progress  # at the start
    compiled: step.Step  # with the batches from there on


def prepare(networks: Networks, spec: TrainSpec) -> TrainState:
    """Puts the model where its training starts or goes on; takes no step yet."""
    config, devices = networks.config, networks.devices
    check_mixing(networks.datasets, spec.setting, spec.section)
    select_by = spec.section.select_by
    check_metric(networks, select_by, setting=f"{spec.setting}.select_by")
    folder = spec.folder / CHECKPOINTS
    # Before the batches are made: they start at the restored step. The chief chooses,
    # because a disk that machines share may show them different files for a while.
    find = functools.partial(newest_intact, folder, check_held=devices.hold.check)
    latest = devices.workers.broadcast(find)
    update = _update(networks, spec, is_new=not latest)
    checkpoints = _checkpoints(networks, spec, update)
    if not latest:
        check_saving(networks, spec.network)
    progress = Progress(select_by=select_by)
    if latest:
        progress = checkpoints.restore(latest)
    if progress.step and devices.workers.is_chief:
        console.log(f"{spec.title} goes on from step {progress.step}")
    xla = devices.compiles(spec.role)
    # Of two networks that are not compiled alike, one at a time.
    together = config.runtime.steps_per_execution if xla else 1
    compiled = step.compile_step(
        spec.objective,
        model=spec.model,
        update=update,
        schedule=spec.schedule,
        batches=batches(networks.datasets, spec, progress.step, together),
        accumulate=spec.section.accumulate,
        stop=devices.stop,
        strategy=devices.strategy,
        xla=xla,
        in_programs=together > 1,
    )
    return TrainState(
        update=update, checkpoints=checkpoints, progress=progress, compiled=compiled
    )


def _checkpoints(
    networks: Networks, spec: TrainSpec, update: optimizers.OptimizerUpdate
) -> Checkpoints:
    config, role, seed = networks.config, spec.role, spec.seed
    return Checkpoints(
        spec.folder / CHECKPOINTS,
        state={**_networks_state(spec), **update.state},
        run=run_name(config, role, seed),
        is_earlier=lambda name: is_earlier_name(name, config, role, seed),
        keep=config.runtime.keep_checkpoints,
        check_held=networks.devices.hold.check,
    )


def _update(
    networks: Networks, spec: TrainSpec, *, is_new: bool
) -> optimizers.OptimizerUpdate:
    if spec.weights and is_new:
        setting = f"{spec.network}.weights"
        weight_files.load(networks, spec.model, spec.weights, setting=setting)
    # After the weights, since averages start from them.
    with networks.devices.strategy.scope():
        return optimizers.OptimizerUpdate(
            spec.model,
            spec.section,
            # Of a whole model from a file the config does not know it.
            float16=any(
                layer.compute_dtype == "float16"
                for layer in spec.model._flatten_layers(include_self=False)
            ),
            adapters=spec.objective.adapters,
        )


def _networks_state(spec: TrainSpec) -> dict[str, list[keras.Variable]]:
    """The variables of the networks that are trained, as checkpoints keep them."""
    state = {"model": spec.model.variables}
    adapters = [v for x in spec.objective.adapters for v in x.variables]
    return state | ({"adapters": adapters} if adapters else {})


def batches(
    datasets: Datasets, spec: TrainSpec, first_step: int, steps_per_execution: int = 1
) -> data.Batches:
    """The endless batches of a training from `first_step` on, so many together."""
    return data.training_batches(
        spec.examples,
        augment=augmentation(datasets, spec.section, setting=spec.setting),
        views=spec.views,
        auxiliary=spec.auxiliary,
        seed=spec.seed,
        per_replica_batch_size=distribution.per_replica_batch_size(
            spec.section,
            datasets.devices.num_replicas,
            setting=spec.setting,
        ),
        first_step=first_step,
        strategy=datasets.devices.strategy,
        steps_per_execution=steps_per_execution,
    )


def augmentation(
    datasets: Datasets, section: TrainConfig, *, setting: str
) -> data.Augment:
    """The augmentation of the training of the section `setting`.

    Raises:
      ConfigError: the examples cannot be shown so.
    """
    name, chosen = datasets.config.augmenting_section(setting, section)
    return data.augmentation(
        chosen.augment,
        chosen.augment_options,
        input_shape=datasets.source.input_shape,
        input_dtype=datasets.source.input_dtype,
        setting=name,
    )
