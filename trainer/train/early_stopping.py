"""The best step of a training, and its end where no better one comes."""

from collections.abc import Mapping

from trainer.config.selection import METRICS
from trainer.train.checkpoint_file import Progress


class EarlyStopping:
    """The step with the best validation by one metric; the earlier of equals."""

    def __init__(self, progress: Progress, *, patience_steps: int) -> None:
        """Goes on from `progress`; with 0 `patience_steps` it never stops."""
        self.best_step = progress.best_step
        self.best_value = progress.best_value
        self._metric = progress.select_by
        self._patience_steps = patience_steps

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes note of the validation after `step`."""
        value = metrics[self._metric]
        gain = value - self.best_value
        if not self.best_step or (gain if METRICS[self._metric] else -gain) > 0:
            self.best_step, self.best_value = step, value

    def is_best(self, step: int) -> bool:
        """Whether the best validation is that of `step`."""
        return step == self.best_step

    def stops(self, step: int) -> bool:
        """Whether the best step is `patience_steps` or more before `step`."""
        return 0 < self._patience_steps <= step - self.best_step
