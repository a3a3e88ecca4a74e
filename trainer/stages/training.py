"""One training from start or checkpoint to its finished model."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from trainer import data, distribution, files, loop, models, optimizers, step
from trainer.checkpoint import Checkpoints, Position, latest_position
from trainer.config import DataConfig, RuntimeConfig, TrainConfig
from trainer.events import MetricsFile, Progress
from trainer.stages.session import Session
from trainer.workdir import CHECKPOINTS, FINISHED, LAST, METRICS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """What tells one training from another."""

    role: str  # "teacher", "student" or "baseline"
    seed: int  # of the data order and the dropout
    section: TrainConfig
    owner: str  # the section above it in messages: "teacher" or "student"
    folder: pathlib.Path
    weights: str  # the file to start from; "": from the model's own initial weights
    examples: data.Examples
    validate: Callable[[np.ndarray], dict[str, float]]  # of validation logits [M, C]

    @property
    def title(self) -> str:
        """Its name on the terminal."""
        return f"{self.role} seed {self.seed}"

    @property
    def num_steps(self) -> int:
        """Optimizer updates of the whole training."""
        return optimizers.num_steps(self.section, num_examples=len(self.examples))

    @property
    def schedule(self) -> optimizers.Schedule:
        """The learning rate of each step."""
        return optimizers.schedule(
            self.section, num_steps=self.num_steps, setting=f"{self.owner}.train"
        )


def is_finished(folder: pathlib.Path) -> bool:
    """Whether the training in `folder` has ended; its model is the last file."""
    return (folder / FINISHED).exists()


def train(
    session: Session, training: Training, model: keras.Model, core: step.Core
) -> None:
    """Trains `model` from the start, or from the latest checkpoint in its folder.

    Leaves the last weights as last.keras and those best on validation as model.keras.
    """
    with session.strategy.scope():
        optimizer = optimizers.optimizer(training.section)
        optimizer.build(model.trainable_variables)
    checkpoints = Checkpoints(
        training.folder / CHECKPOINTS,
        model=model,
        optimizer=optimizer,
        run=session.run_name(training.role, training.seed),
        keep=session.config.runtime.keep_checkpoints,
    )
    # Before the batches are made: they start at the restored step.
    position = checkpoints.restore_latest()
    if training.weights and position.step == 0:
        models.load_weights(
            model, training.weights, setting=f"{training.owner}.weights"
        )
    compiled = step.compile_step(
        core,
        model=model,
        optimizer=optimizer,
        schedule=training.schedule,
        batches=_batches(session, training, position.step),
        strategy=session.strategy,
        xla=session.xla,
    )
    _run_loop(session, training, model, compiled, checkpoints, position)
    save_model(model, training.folder / LAST)
    checkpoints.restore(latest_position(training.folder / CHECKPOINTS).best_step)
    save_model(model, training.folder / FINISHED)


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Writes `model` in Keras's format."""
    with files.atomic_path(path) as temporary:
        model.save(temporary)


def _batches(session: Session, training: Training, first_step: int) -> data.Batches:
    return data.training_batches(
        training.examples,
        augment=augmentation(
            session, training.section, setting=f"{training.owner}.train"
        ),
        seed=training.seed,
        per_replica_batch_size=distribution.per_replica_batch_size(
            training.section.global_batch_size,
            session.strategy,
            setting=f"{training.owner}.train.global_batch_size",
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


def _run_loop(
    session: Session,
    training: Training,
    model: keras.Model,
    compiled: step.Step,
    checkpoints: Checkpoints,
    position: Position,
) -> None:
    first, last = position.step, training.num_steps
    predict = session.predictor(model, session.validation)
    selection = _Selection(position)
    lines = MetricsFile(training.folder / METRICS, last_step=first)

    def evaluate(finished: int) -> loop.Metrics:
        metrics = training.validate(predict())
        selection.consider(finished, metrics["accuracy"])
        return {f"eval/{name}": value for name, value in metrics.items()}

    def write(finished: int, metrics: loop.Metrics) -> None:
        applied = float(training.schedule(finished - 1))
        lines.write(finished, metrics | {"train/learning_rate": applied})
        progress.show(finished, metrics)

    with Progress(training.title, first_step=first, last_step=last) as progress:
        loop.train(
            loop.Actions(
                run_steps=compiled.run,
                advance=progress.advance,
                evaluate=evaluate,
                write=write,
                is_best=selection.is_best,
                save=lambda finished: checkpoints.save(selection.position(finished)),
            ),
            _cadence(session.config.runtime),
            first_step=first,
            last_step=last,
            examples_per_step=training.section.global_batch_size,
            setting=f"{training.owner}.train.learning_rate",
        )


def _cadence(runtime: RuntimeConfig) -> loop.Cadence:
    return loop.Cadence(
        steps_per_loop=runtime.steps_per_loop,
        log_every_steps=runtime.log_every_steps,
        eval_every_steps=runtime.eval_every_steps,
        save_every_steps=runtime.save_every_steps,
    )


class _Selection:
    """The step with the highest validation accuracy; the earlier of equals."""

    def __init__(self, position: Position) -> None:
        self._best_step = position.best_step
        self._best_accuracy = position.best_accuracy

    def consider(self, step: int, accuracy: float) -> None:
        if accuracy > self._best_accuracy:
            self._best_step, self._best_accuracy = step, accuracy

    def is_best(self, step: int) -> bool:
        return step == self._best_step

    def position(self, step: int) -> Position:
        return Position(
            step=step, best_step=self._best_step, best_accuracy=self._best_accuracy
        )
