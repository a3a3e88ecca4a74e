"""One training from its first step, or the one after its checkpoint, to the model."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import keras
import numpy as np
from etils import epath

from trainer import console, data, models
from trainer.config import Config, periods
from trainer.session.datasets import Datasets
from trainer.session.logger import Logger, open_logger
from trainer.session.observer import Observer
from trainer.session.run_devices import Devices
from trainer.session.session import Session
from trainer.session.train_state import TrainSpec, TrainState, prepare
from trainer.storage import files, model_classes
from trainer.storage.workdir import CHECKPOINTS, FINISHED, LAST, PROFILE
from trainer.train import loop, profiler
from trainer.train.checkpoint import latest_progress
from trainer.train.checkpoint_file import Progress
from trainer.train.early_stopping import EarlyStopping


def is_finished(devices: Devices, folder: epath.Path) -> bool:
    """Whether the training in `folder` has ended; its model is the last file."""
    return bool(devices.workers.broadcast(lambda: (folder / FINISHED).exists()))


def train(session: Session, spec: TrainSpec) -> None:
    """Trains the model from the start, or from the latest checkpoint in its folder.

    Leaves the last weights as last.keras and those best on validation as model.keras;
    with `ema` both are averages. All workers train, and the chief writes.

    Raises:
      DivergedError: the loss or a gradient is no longer a finite number.
      StoppedError: a worker was asked to end; all that was done is saved.
    """
    state = prepare(session.networks, spec)
    with (
        session.devices.termination.handle_with(session.devices.stop.assign_add),
        _profile(session.config, session.devices, spec, state) as run_steps,
    ):
        _run_loop(session, spec, state, run_steps)
    chief = session.devices.workers.is_chief
    if chief:
        _save_judged(session.devices, session.datasets, spec, state, LAST)
    folder = spec.folder / CHECKPOINTS
    best_step = session.devices.workers.broadcast(
        lambda: latest_progress(folder).best_step
    )
    state.checkpoints.restore(best_step)
    if chief:
        _save_judged(session.devices, session.datasets, spec, state, FINISHED)
    # Others may read what the chief has written.
    session.devices.workers.barrier()


def save_model(
    devices: Devices,
    datasets: Datasets,
    model: keras.Model,
    path: epath.Path,
    *,
    class_names: Sequence[str] = (),
    is_whole: bool = True,
) -> None:
    """Writes `model` in Keras's format, and beside it the names of its classes.

    These are the data's unless others are given. Of one that is not `is_whole` the file
    has weights alone.
    """
    devices.hold.check()
    # First: the model is what says that a training has ended.
    view = datasets.config.data.view
    source = datasets.source
    names = class_names or source.class_names
    model_classes.write(path, names, view, data.feature_names(source))
    with files.atomic_path(path, is_work=True) as temporary:
        if is_whole:
            model.save(temporary)
        else:
            models.save_weights(model, temporary)
        devices.hold.check()


def _save_judged(
    devices: Devices, datasets: Datasets, spec: TrainSpec, state: TrainState, name: str
) -> None:
    with state.update.averaged_weights():
        save_model(devices, datasets, spec.model, spec.folder / name)


def _profile(
    config: Config, devices: Devices, spec: TrainSpec, state: TrainState
) -> AbstractContextManager[profiler.RunSteps]:
    taken, together = state.progress.step, config.runtime.steps_per_execution

    def run_steps(num_steps: int) -> loop.Metrics:
        nonlocal taken
        with devices.termination.watchdog(f"{spec.title}: {num_steps} steps"):
            try:
                metrics = state.compiled.run(num_steps)
            except data.DataError as error:
                # Which file it was is looked for only now.
                steps = range(taken, taken + num_steps + together - 1)
                raise _damage(spec, steps) or error from error.__cause__
        taken += num_steps
        return metrics

    return profiler.profile(
        run_steps,
        config.runtime.profile_steps if devices.workers.is_chief else (),
        first_step=state.progress.step,
        folder=spec.folder / PROFILE,
    )


def _damage(spec: TrainSpec, steps: range) -> data.DataError | None:
    """The error of a damaged file of soft targets, or of the images of these steps."""
    if spec.auxiliary and (damage := spec.auxiliary.damage()):
        return data.DataError(damage)
    return data.damage_of_steps(
        spec.examples,
        steps,
        seed=spec.seed,
        batch_size=spec.section.global_batch_size,
    )


def _run_loop(
    session: Session, spec: TrainSpec, state: TrainState, run_steps: profiler.RunSteps
) -> None:
    progress = state.progress
    taken = periods(session.config.runtime, epoch_steps=spec.epoch_steps)
    if session.devices.workers.is_chief:
        for note in taken.notes:
            console.log(f"{spec.title}: {note}")
    # Before the logger: where validation examples cannot be read, nothing is written.
    validation = session.datasets.validation
    predict = session.devices.predictor(spec.model, validation, role=spec.role)
    # Those of the program follow its students, where the chief has them.
    follows = spec.role == "student" and session.devices.workers.is_chief
    observer = Observer(
        session.given.callbacks if follows else (), spec, first_step=progress.step
    )
    observer.begin()
    with open_logger(session.devices, spec, state) as logger:
        loop.Loop(
            callbacks=_Callbacks(spec, state, run_steps, predict, logger, observer),
            cadence=loop.Cadence(**taken.steps),
            last_step=spec.num_steps,
            examples_per_step=spec.section.global_batch_size,
            setting=f"{spec.setting}.learning_rate",
        ).run(
            loop.LoopState(
                step=progress.step,
                is_closed=progress.is_closed,
                unlogged=loop.MetricAccumulator(**progress.window),
            )
        )
    observer.end()


class _Callbacks:
    """The parts of the loop's iteration, which every worker takes."""

    def __init__(
        self,
        spec: TrainSpec,
        state: TrainState,
        run_steps: profiler.RunSteps,
        predict: Callable[[], np.ndarray],
        logger: Logger,
        observer: Observer,
    ) -> None:
        self._spec = spec
        self._observer = observer
        self._run_steps = run_steps
        self._update = state.update
        self._logger = logger
        self._predict = predict
        self._early_stopping = EarlyStopping(
            state.progress, patience_steps=spec.section.patience_steps
        )
        self.advance = logger.advance
        self.is_best = self._early_stopping.is_best
        self.stops_early = self._early_stopping.stops

    def train_steps(self, num_steps: int) -> loop.Metrics:
        # All of the steps before is saved where that was due.
        self._observer.tell_epochs()
        started = time.monotonic()
        metrics = self._run_steps(num_steps)
        self._observer.add_steps(num_steps, metrics, secs=time.monotonic() - started)
        return metrics

    def evaluate(self, step: int) -> loop.Metrics:
        self._observer.begin_evaluation()
        self._logger.validate()
        # Infinite logits give metrics that are NaN, which the loop tells of.
        with self._update.averaged_weights(), np.errstate(invalid="ignore"):
            metrics = self._spec.validate(self._predict())
        self._early_stopping.update(step, metrics)
        told = {f"eval/{name}": value for name, value in metrics.items()}
        self._observer.end_evaluation(told)
        return told

    def log(self, step: int, metrics: loop.Metrics) -> None:
        self._logger.log(step, metrics)
        self._spec.follow(step, metrics)

    def save(self, state: loop.LoopState) -> None:
        self._logger.save(
            Progress(
                step=state.step,
                best_step=self._early_stopping.best_step,
                best_value=self._early_stopping.best_value,
                select_by=self._spec.section.select_by,
                is_closed=state.is_closed,
                window=dataclasses.asdict(state.unlogged),
            )
        )
