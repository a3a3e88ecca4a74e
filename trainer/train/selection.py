"""Which step of a training is kept, and when there is no hope of a better one."""

import dataclasses

from trainer.train.checkpoint import Position
from trainer.train.loop import Place


class Selection:
    """The step with the highest validation accuracy; the earlier of equals."""

    def __init__(self, position: Position, *, patience_steps: int) -> None:
        """Goes on from `position`."""
        self._patience_steps = patience_steps
        self._best_step = position.best_step
        self._best_accuracy = position.best_accuracy

    def consider(self, step: int, accuracy: float) -> None:
        """Takes note of the validation after `step`."""
        if accuracy > self._best_accuracy:
            self._best_step, self._best_accuracy = step, accuracy

    def is_best(self, step: int) -> bool:
        """Whether the best is that of `step`."""
        return step == self._best_step

    def is_exhausted(self, step: int) -> bool:
        """Whether patience is over after `step`; 0 steps of patience never are."""
        return 0 < self._patience_steps <= step - self._best_step

    def position(self, place: Place) -> Position:
        """What a checkpoint made at `place` says."""
        return Position(
            step=place.step,
            best_step=self._best_step,
            best_accuracy=self._best_accuracy,
            is_closed=place.is_closed,
            window=dataclasses.asdict(place.window),
        )
