"""Devices of a run and the other processes that share it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from trainer import data
from trainer.cluster.hold import FREE, Hold
from trainer.cluster.termination import Termination
from trainer.cluster.workers import Workers
from trainer.config import RuntimeConfig
from trainer.devices import compilation, distribution
from trainer.evaluation.predictor import predictor
from trainer.progress import RunProgress, is_terminal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices:
    """The devices of a run, its workers, the signals that end it, and who watches."""

    runtime: RuntimeConfig
    strategy: tf.distribute.Strategy
    workers: Workers
    termination: Termination
    hold: Hold = FREE  # of the workdir, where the chief trains there

    @functools.cached_property
    def stop(self) -> tf.Variable:
        """A variable that tells steps that this process is to end."""
        return distribution.stop_flag()

    @functools.cached_property
    def progress(self) -> RunProgress:
        """Shows how far the run is; of several workers lines are read side by side."""
        return RunProgress(is_live=self.workers.count == 1 and is_terminal())

    @property
    def num_replicas(self) -> int:
        """The replicas of all workers, which share each global batch."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def description(self) -> str:
        """One line on where the run executes."""
        return distribution.describe(self.strategy, self.runtime)

    def compiles(self, role: str) -> bool:
        """Whether XLA compiles what the devices compute for a network in `role`."""
        return compilation.compiles_with_xla(self.runtime, role)

    def compiles_alone(self, role: Literal["teacher", "student"]) -> bool:
        """Whether XLA compiles for this one of the two, and not for the other."""
        return self.runtime.xla == role

    def predictor(
        self, model: keras.Model, examples: data.Examples, *, role: str
    ) -> Callable[[], np.ndarray]:
        """A function to the model's present logits of all examples: float32 [M, C]."""
        return predictor(
            model,
            examples,
            batch_size=self.runtime.eval_batch_size,
            stop=self.stop,
            watched=self.termination.watchdog,
            strategy=self.strategy,
            xla=self.compiles(role),
        )
