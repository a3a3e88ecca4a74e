"""TensorFlow's profiler over some steps of a training."""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf
from etils import epath

from trainer import console
from trainer.storage import files

RunSteps = Callable[[int], dict[str, float]]


@contextlib.contextmanager
def profile(
    run_steps: RunSteps,
    profile_steps: tuple[int, ...],
    *,
    first_step: int,
    folder: epath.Path,
) -> Iterator[RunSteps]:
    """Gives `run_steps` that is profiled after step a up to b; `profile_steps` is a, b.

    The profile is in `folder`/plugins/profile/TIME once step b is done, or when the
    training ends before. Steps up to `first_step` were an earlier process's: they are
    missing, and a line on the terminal says so. Without `profile_steps` there is none.

    Raises:
      StorageError: the folder cannot be written.
    """
    if not profile_steps:
        yield run_steps
        return
    profile = _Profile(run_steps, profile_steps, first_step, folder)
    try:
        yield profile.run_steps
    finally:
        profile.stop()


class _Profile:
    def __init__(
        self,
        run_steps: RunSteps,
        profile_steps: tuple[int, ...],
        first_step: int,
        folder: epath.Path,
    ) -> None:
        start, self._end = profile_steps
        self._run_steps = run_steps
        self._finished = first_step
        self._start = max(start, first_step)
        self._folder = folder
        self._is_running = False
        if start < first_step:
            console.log(
                f"{folder}: steps {start + 1} to {min(first_step, self._end)} were "
                "done before and are not profiled now"
            )

    def run_steps(self, num_steps: int) -> dict[str, float]:
        if self._start == self._finished < self._end:
            with _wrap_errors(self._folder):
                tf.profiler.experimental.start(str(self._folder))
            self._is_running = True
        metrics = self._run_steps(num_steps)
        self._finished += num_steps
        if self._finished == self._end:
            self.stop()
        return metrics

    def stop(self) -> None:
        """Writes the profile that is being taken, if there is one."""
        if self._is_running:
            self._is_running = False
            with _wrap_errors(self._folder):
                tf.profiler.experimental.stop()


@contextlib.contextmanager
def _wrap_errors(folder: epath.Path) -> Iterator[None]:
    with files.wrap_write_errors(folder):
        try:
            yield
        except tf.errors.OpError as error:
            raise OSError(error.message) from error
