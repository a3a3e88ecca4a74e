"""One training from start or checkpoint to its finished model."""

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import numpy as np
from etils import epath

from trainer import (
    core,
    data,
    distribution,
    files,
    loop,
    models,
    optimizers,
    profiler,
    step,
    tensorboard,
)
from trainer.checkpoint import Checkpoints, Position, latest_position
from trainer.config import DataConfig, RuntimeConfig, TrainConfig
from trainer.events import MetricsFile, Progress
from trainer.stages.selection import Selection
from trainer.stages.session import Session
from trainer.workdir import CHECKPOINTS, FINISHED, LAST, METRICS, PROFILE, TENSORBOARD


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """What tells one training from another."""

    role: str  # "teacher_head", "teacher", "student" or "baseline"
    seed: int  # of the data order and the dropout
    section: TrainConfig
    setting: str  # its name in messages, such as "student.train"
    folder: epath.Path
    weights: str  # the file to start from; "": from the model's own initial weights
    model: keras.Model
    computed: core.Core  # of each step, by each replica
    examples: data.Examples
    validate: Callable[[np.ndarray], dict[str, float]]  # of validation logits [M, C]

    @property
    def title(self) -> str:
        """Its name on the terminal."""
        return f"{self.role.replace('_', ' ')} seed {self.seed}"

    @property
    def num_steps(self) -> int:
        """Optimizer updates of the whole training."""
        return optimizers.num_steps(self.section, num_examples=len(self.examples))

    @property
    def schedule(self) -> optimizers.Schedule:
        """The learning rate of each step."""
        return optimizers.schedule(
            self.section, num_steps=self.num_steps, setting=self.setting
        )


def is_finished(folder: epath.Path) -> bool:
    """Whether the training in `folder` has ended; its model is the last file."""
    return (folder / FINISHED).exists()


def train(session: Session, training: Training) -> None:
    """Trains the model from the start, or from the latest checkpoint in its folder.

    Leaves the last weights as last.keras and those best on validation as model.keras;
    with `ema` both are averages.
    """
    learner = start(session, training)
    with _profiled(session, training, learner) as run_steps:
        _run_loop(session, training, learner, run_steps)
    _save_judged(training, learner, LAST)
    best_step = latest_position(training.folder / CHECKPOINTS).best_step
    learner.checkpoints.restore(best_step)
    _save_judged(training, learner, FINISHED)


def save_model(model: keras.Model, path: epath.Path) -> None:
    """Writes `model` in Keras's format."""
    with files.atomic_path(path) as temporary:
        model.save(temporary)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learner:
    """What moves and keeps the model of a training."""

    update: optimizers.Update
    checkpoints: Checkpoints
    position: Position  # where it starts
    compiled: step.Step  # with the batches from that position on


def start(session: Session, training: Training) -> Learner:
    """Puts the model where its training starts or goes on; takes no step yet."""
    model = training.model
    update = _update(session, training)
    checkpoints = Checkpoints(
        training.folder / CHECKPOINTS,
        state={"model": model.variables, **update.state},
        run=session.run_name(training.role, training.seed),
        keep=session.config.runtime.keep_checkpoints,
    )
    # Before the batches are made: they start at the restored step.
    position = checkpoints.restore_latest()
    compiled = step.compile_step(
        training.computed,
        model=model,
        update=update,
        schedule=training.schedule,
        batches=batches(session, training, position.step),
        accumulate=training.section.accumulate,
        strategy=session.strategy,
        xla=session.xla,
    )
    return Learner(
        update=update,
        checkpoints=checkpoints,
        position=position,
        compiled=compiled,
    )


def _update(session: Session, training: Training) -> optimizers.Update:
    folder = training.folder / CHECKPOINTS
    if training.weights and latest_position(folder).step == 0:
        owner = training.setting.partition(".")[0]
        models.load_weights(
            training.model, training.weights, setting=f"{owner}.weights"
        )
    # After the weights, since averages start from them.
    with session.strategy.scope():
        return optimizers.Update(
            training.model,
            training.section,
            # Of a whole model from a file the config does not know it.
            float16=any(
                layer.compute_dtype == "float16"
                for layer in training.model._flatten_layers(include_self=False)
            ),
        )


def _save_judged(training: Training, learner: Learner, name: str) -> None:
    with learner.update.averaged():
        save_model(training.model, training.folder / name)


def batches(session: Session, training: Training, first_step: int) -> data.Batches:
    """The endless batches of a training from `first_step` on."""
    return data.training_batches(
        training.examples,
        augment=augmentation(session, training.section, setting=training.setting),
        seed=training.seed,
        per_replica_batch_size=distribution.per_replica_batch_size(
            training.section, session.strategy, setting=training.setting
        ),
        first_step=first_step,
        strategy=session.strategy,
    )


def augmentation(
    session: Session, section: TrainConfig, *, setting: str
) -> data.Augment:
    """How the training of the section `setting` sees its examples.

    Raises:
      ConfigError: the examples cannot be shown so.
    """
    chosen: TrainConfig | DataConfig = section
    if section.augment == "inherit":
        chosen, setting = session.config.data, "data"
    return data.augmentation(
        chosen.augment,
        chosen.augment_options,
        input_shape=session.source.input_shape,
        setting=setting,
    )


def _profiled(
    session: Session, training: Training, learner: Learner
) -> AbstractContextManager[profiler.RunSteps]:
    return profiler.profiled(
        learner.compiled.run,
        session.config.runtime.profile_steps,
        first_step=learner.position.step,
        folder=training.folder / PROFILE,
    )


def _run_loop(
    session: Session,
    training: Training,
    learner: Learner,
    run_steps: profiler.RunSteps,
) -> None:
    first, last = learner.position.step, training.num_steps
    with Progress(training.title, first_step=first, last_step=last) as progress:
        loop.train(
            _actions(session, training, learner, run_steps, progress),
            _cadence(session.config.runtime),
            first_step=first,
            last_step=last,
            examples_per_step=training.section.global_batch_size,
            setting=f"{training.setting}.learning_rate",
        )


def _actions(
    session: Session,
    training: Training,
    learner: Learner,
    run_steps: profiler.RunSteps,
    progress: Progress,
) -> loop.Actions:
    predict = session.predictor(training.model, session.validation)
    position = learner.position
    selection = Selection(position, patience_steps=training.section.patience_steps)
    lines = _metrics_file(training.folder, position.step)

    def evaluate(finished: int) -> loop.Metrics:
        with learner.update.averaged():
            metrics = training.validate(predict())
        selection.consider(finished, metrics["accuracy"])
        return {f"eval/{name}": value for name, value in metrics.items()}

    def write(finished: int, metrics: loop.Metrics) -> None:
        applied = float(training.schedule(finished - 1))
        lines.write(finished, metrics | {"train/learning_rate": applied})
        progress.show(finished, metrics)

    return loop.Actions(
        run_steps=run_steps,
        advance=progress.advance,
        evaluate=evaluate,
        write=write,
        is_best=selection.is_best,
        is_exhausted=selection.is_exhausted,
        save=lambda finished: learner.checkpoints.save(selection.position(finished)),
    )


def _metrics_file(folder: epath.Path, last_step: int) -> MetricsFile:
    copies = []
    if tensorboard.is_installed():
        copies.append(tensorboard.EventFile(folder / TENSORBOARD).add_scalars)
    return MetricsFile(folder / METRICS, last_step=last_step, copies=copies)


def _cadence(runtime: RuntimeConfig) -> loop.Cadence:
    return loop.Cadence(
        steps_per_loop=runtime.steps_per_loop,
        log_every_steps=runtime.log_every_steps,
        eval_every_steps=runtime.eval_every_steps,
        save_every_steps=runtime.save_every_steps,
    )
