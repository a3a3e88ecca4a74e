"""Records of a training: the progress bar, metrics.jsonl and checkpoints."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Protocol

import tensorflow as tf

from trainer.cluster.rendezvous import PeerLostError
from trainer.progress import StepBar
from trainer.session.run_devices import Devices
from trainer.session.train_state import TrainSpec, TrainState
from trainer.storage.files import StorageError
from trainer.storage.workdir import METRICS, TENSORBOARD
from trainer.train import loop, tensorboard
from trainer.train.checkpoint_file import Progress
from trainer.train.events import MetricsFile


class Logger(Protocol):
    """Writes down what a training has come to; the chief alone has something to do."""

    def advance(self, step: int) -> None:
        """Shows that `step` steps are done."""

    def validate(self) -> None:
        """Shows that the validation split is predicted."""

    def log(self, step: int, metrics: loop.Metrics) -> None:
        """Writes the line of `step`."""

    def save(self, progress: Progress) -> None:
        """Writes a checkpoint."""


@contextlib.contextmanager
def open_logger(
    devices: Devices, spec: TrainSpec, state: TrainState
) -> Iterator[Logger]:
    """The logger of this worker: all but the chief's write nothing.

    Raises:
      StorageError: the lines of an earlier start are damaged, or the disk is full.
    """
    if not devices.workers.is_chief:
        yield _WorkerLogger()
        return
    check_held = devices.hold.check
    events = (
        tensorboard.EventFile(spec.folder / TENSORBOARD, check_held=check_held)
        if tensorboard.is_installed()
        else None
    )
    progress = state.progress
    lines = MetricsFile(
        spec.folder / METRICS,
        # A step that is not closed gets its line once more.
        last_step=progress.step if progress.is_closed else progress.step - 1,
        copies=[events.add_scalars] if events else [],
        checksum=progress.lines,
        check_held=check_held,
    )
    with (
        _flush_after(*([lines, events] if events else [lines])),
        devices.progress.steps(
            spec.title,
            first_step=progress.step,
            last_step=spec.num_steps,
            epoch_steps=spec.epoch_steps,
            metric=spec.section.select_by,
        ) as bar,
    ):
        yield _ChiefLogger(spec, state, lines, bar)


@contextlib.contextmanager
def _flush_after(*logs: MetricsFile | tensorboard.EventFile) -> Iterator[None]:
    """Writes what stores do not have yet, however the body ends."""
    try:
        yield
    except BaseException:
        # Which has a better reason to tell.
        with contextlib.suppress(StorageError, PeerLostError):
            for log in logs:
                log.flush()
        raise
    for log in logs:
        log.flush()


class _WorkerLogger:
    def advance(self, step: int) -> None:
        pass

    def validate(self) -> None:
        pass

    def log(self, step: int, metrics: loop.Metrics) -> None:
        pass

    def save(self, progress: Progress) -> None:
        pass


class _ChiefLogger:
    def __init__(
        self,
        spec: TrainSpec,
        state: TrainState,
        lines: MetricsFile,
        bar: StepBar,
    ) -> None:
        self._schedule = spec.schedule
        self._weights = spec.objective.weights
        self._checkpoints = state.checkpoints
        self._lines = lines
        self._bar = bar
        self.advance = bar.advance
        self.validate = bar.validate

    def log(self, step: int, metrics: loop.Metrics) -> None:
        applied = float(self._schedule(step - 1))
        weights = {
            f"train/{name}_weight": float(weight(tf.constant(step - 1)))
            for name, weight in self._weights.items()
        }
        self._lines.write(step, metrics | weights | {"train/learning_rate": applied})
        self._bar.show(step, metrics)

    def save(self, progress: Progress) -> None:
        # Before it: no restored run lacks a line.
        self._lines.flush()
        self._checkpoints.save(
            dataclasses.replace(progress, lines=self._lines.checksum)
        )
