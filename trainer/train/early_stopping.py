"""The best step of a training, and its end where no better one comes."""


class EarlyStopping:
    """The step with the highest validation accuracy; the earlier of equals."""

    def __init__(
        self, *, best_step: int, best_accuracy: float, patience_steps: int
    ) -> None:
        """Goes on from the best step so far; with 0 `patience_steps` it never stops."""
        self.best_step = best_step
        self.best_accuracy = best_accuracy
        self._patience_steps = patience_steps

    def update(self, step: int, accuracy: float) -> None:
        """Takes note of the validation accuracy after `step`."""
        if accuracy > self.best_accuracy:
            self.best_step, self.best_accuracy = step, accuracy

    def is_best(self, step: int) -> bool:
        """Whether the best accuracy is that of `step`."""
        return step == self.best_step

    def stops(self, step: int) -> bool:
        """Whether the best step is `patience_steps` or more before `step`."""
        return 0 < self._patience_steps <= step - self.best_step
