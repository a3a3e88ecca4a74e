"""Checkpoints of one model's training, without its teacher: kept, found, restored.

Each is one file: every variable of the model and its update (optimizer slots, loss
scale, averages), the finished steps, the best step on validation, and the metrics that
are not logged yet. Because each file knows its own best, a run restored from it goes on
as if it had never stopped.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf
from etils import epath

from trainer import console
from trainer.storage import files
from trainer.train.checkpoint_file import (
    Checkpoint,
    CheckpointError,
    Progress,
    path_of,
    read,
    read_progress,
    steps_of,
    write,
)

# A run may move between devices that need float16's loss scale and others.
_COMES_AND_GOES = "loss_scale/"


def latest_progress(folder: epath.Path) -> Progress:
    """Reads how far the training with checkpoints in `folder` is, and no variables.

    Raises:
      CheckpointError: the newest checkpoint is damaged.
    """
    steps = steps_of(folder)
    return read_progress(folder, steps[-1]) if steps else Progress()


def newest_intact(
    folder: epath.Path, *, check_held: Callable[[], None] = lambda: None
) -> int:
    """The step of `find_intact`; sets newer files aside, unless `check_held` raises.

    Raises:
      CheckpointError: there are files, and none of them will do.
    """
    progress, problem = find_intact(folder)
    if problem:
        check_held()
        _set_aside(folder, progress.step, problem)
    return progress.step


def find_intact(folder: epath.Path) -> tuple[Progress, str]:
    """Finds the step from which a training can go on; step 0 without checkpoints.

    All of that file, and of the one that it knows as the best, can be read. Also gives
    the reason why the newest file was skipped, or "". Changes nothing.

    Raises:
      CheckpointError: there are files, and none of them will do.
    """
    problem: CheckpointError | None = None
    for step in reversed(steps_of(folder)):
        try:
            progress = read(folder, step).progress
            if progress.best_step not in (0, step):
                read(folder, progress.best_step)
            reason = str(problem).rpartition("; ")[0] if problem else ""
            return dataclasses.replace(progress, step=step), reason
        except CheckpointError as error:
            problem = problem or error
    if problem:
        raise problem
    return Progress(), ""


def _set_aside(folder: epath.Path, last: int, problem: str) -> None:
    """Gives the files after the step `last` names that are no checkpoint's."""
    names = []
    for step in steps_of(folder):
        if step > last:
            path = path_of(folder, step)
            names.append(f"set-aside-{path.name}")
            with files.wrap_write_errors(path):
                path.replace(path.with_name(names[-1]))
    console.log(
        f"{problem}; the training goes on from step {last}, and what came after is set "
        f"aside there as {', '.join(names)}"
    )


class Checkpoints:
    """The checkpoints of one training in one folder."""

    def __init__(
        self,
        folder: epath.Path,
        *,
        state: Mapping[str, Sequence[keras.Variable]],
        run: str,
        is_earlier: Callable[[str], bool] = lambda name: False,
        keep: int,
        check_held: Callable[[], None] = lambda: None,
    ) -> None:
        """`state` is what they hold: groups of variables, as of model and optimizer.

        `run` identifies the training; files of another `run` are refused, but for
        those whose name `is_earlier`: that of this training in earlier versions.

        The newest `keep` files stay, and the best that each of them knows. Nothing is
        written when `check_held`, which is asked before, raises.
        """
        self._check_held = check_held
        self._folder = folder
        self._run = run
        self._is_earlier = is_earlier
        self._keep = keep
        self._state = state
        self._best: dict[int, int] | None = None  # of each step, once it was looked for

    def save(self, progress: Progress) -> None:
        """Writes the present state as `progress`, then removes what is not kept.

        Raises:
          StorageError: the folder cannot be written; older checkpoints are intact.
        """
        if self._best is None:
            self._best = self._find_best()
        arrays = {
            name: tf.convert_to_tensor(variable.value).numpy()
            for name, variable in self._variables().items()
        }
        file = path_of(self._folder, progress.step)
        with files.atomic_path(file, is_work=True) as path:
            write(path, run=self._run, progress=progress, arrays=arrays)
            self._check_held()
        self._best[progress.step] = progress.best_step
        # Only now, when the newer state is on disk.
        self._remove_old(self._best)

    def _find_best(self) -> dict[int, int]:
        """The best that each file of earlier processes knows; 0 where it is damaged."""
        best = {}
        for step in steps_of(self._folder):
            best[step] = 0
            # An older file that cannot be read harms nobody before it is needed.
            with contextlib.suppress(CheckpointError):
                best[step] = read_progress(self._folder, step).best_step
        return best

    def _remove_old(self, best: dict[int, int]) -> None:
        """Leaves the newest files and, should the last be lost, each one's own best."""
        newest = sorted(best)[-self._keep :]
        for step in set(best).difference(newest, [best[step] for step in newest]):
            path = path_of(self._folder, step)
            with files.wrap_write_errors(path):
                path.unlink(missing_ok=True)
            del best[step]

    def restore(self, step: int) -> Progress:
        """Sets every variable to its value in the checkpoint of `step`.

        Raises:
          CheckpointError: the file is damaged, of another run, or does not hold
            exactly these variables in these shapes. Nothing is changed then.
        """
        found = read(self._folder, step)
        arrays = found.arrays
        variables = self._variables()
        for name in variables.keys() ^ arrays.keys():
            if name.startswith(_COMES_AND_GOES):
                variables.pop(name, None)
                arrays.pop(name, None)
        self._check(step, found, variables)
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return found.progress

    def _variables(self) -> dict[str, keras.Variable]:
        # Numbered, since Keras does not promise that paths differ.
        return {
            f"{group}/{i:04d}": variable
            for group, variables in self._state.items()
            for i, variable in enumerate(variables)
        }

    def _check(
        self, step: int, found: Checkpoint, variables: dict[str, keras.Variable]
    ) -> None:
        path, arrays = path_of(self._folder, step), found.arrays
        if found.run != self._run and not self._is_earlier(found.run):
            raise CheckpointError(
                f"checkpoint {path} must be of this run ({self._run}), got one of "
                f"{found.run}; move it away, or choose another --workdir"
            )
        if arrays.keys() != variables.keys():
            raise CheckpointError(
                f"checkpoint {path} must hold {len(variables)} variables, got "
                f"{len(arrays)}; the model has changed: choose another --workdir"
            )
        for name, variable in variables.items():
            if arrays[name].shape != tuple(variable.shape):
                raise CheckpointError(
                    f"checkpoint {path} must hold {variable.path} in shape "
                    f"{tuple(variable.shape)}, got {arrays[name].shape}; the model has "
                    "changed: choose another --workdir"
                )
