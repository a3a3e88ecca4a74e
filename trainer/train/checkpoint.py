"""The state of one model's training on disk: never the teacher.

A checkpoint is one file, `step-N.npz`: every variable of the model and its update
(optimizer slots, loss scale, averages), the finished steps, which step was the best on
validation, and what is still to be logged. Because each file knows its own best, a run
restored from it goes on as if it had never stopped.
"""

import contextlib
import dataclasses
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from trainer import console
from trainer.storage import files, json_text

_HEADER = "header"  # the array that holds run and position, as JSON
# A run may move between devices that need float16's loss scale and others.
_COMES_AND_GOES = "loss_scale/"

# A damaged head of an archive asks for what there is not, such as a password.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, tf.errors.OpError),
    *(ValueError, KeyError, TypeError, AttributeError, EOFError, OSError),
    *(RuntimeError, OverflowError, MemoryError),
)


class CheckpointError(ValueError):
    """A checkpoint cannot be restored; the message names the file and a way out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Position:
    """How far a training is, and its best validation so far (step 0: none yet)."""

    step: int = 0  # finished steps
    best_step: int = 0
    best_accuracy: float = -1.0
    is_closed: bool = True  # whether the step has the line and evaluation that it needs
    window: Mapping[str, Any] = dataclasses.field(
        default_factory=dict
    )  # not yet logged
    lines: str = ""  # checksum of the logged lines; "" in files of earlier versions


def latest_position(folder: epath.Path) -> Position:
    """How far the training with checkpoints in `folder` is; its variables stay on disk.

    Raises:
      CheckpointError: the newest checkpoint is damaged.
    """
    steps = steps_of(folder)
    return _position(_read_header(folder, steps[-1])) if steps else Position()


def newest_whole(
    folder: epath.Path, *, check_held: Callable[[], None] = lambda: None
) -> int:
    """The step of `find_whole`; sets newer files aside, unless `check_held` raises.

    Raises:
      CheckpointError: there are files, and none of them will do.
    """
    position, problem = find_whole(folder)
    if problem:
        check_held()
        _set_aside(folder, position.step, problem)
    return position.step


def find_whole(folder: epath.Path) -> tuple[Position, str]:
    """Finds the step from which a training can go on; step 0 without checkpoints.

    All of that file, and of the one that it knows as the best, can be read. With the
    problem of the newest, where that is another file. Changes nothing.

    Raises:
      CheckpointError: there are files, and none of them will do.
    """
    problem: CheckpointError | None = None
    for step in reversed(steps_of(folder)):
        try:
            position = _position(_read(folder, step)[0])
            if position.best_step not in (0, step):
                _read(folder, position.best_step)
            reason = str(problem).rpartition("; ")[0] if problem else ""
            return dataclasses.replace(position, step=step), reason
        except CheckpointError as error:
            problem = problem or error
    if problem:
        raise problem
    return Position(), ""


def _set_aside(folder: epath.Path, last: int, problem: str) -> None:
    """Gives the files after the step `last` names that are no checkpoint's."""
    names = []
    for step in steps_of(folder):
        if step > last:
            path = _path(folder, step)
            names.append(f"set-aside-{path.name}")
            with files.explained(path):
                path.replace(path.with_name(names[-1]))
    console.say(
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

    def save(self, position: Position) -> None:
        """Writes the present state as `position`, then removes what is not kept.

        Raises:
          StorageError: the folder cannot be written; older checkpoints are intact.
        """
        header = {"run": self._run, **dataclasses.asdict(position)}
        arrays = {
            name: tf.convert_to_tensor(variable.value).numpy()
            for name, variable in self._variables().items()
        }
        with (
            files.atomic_path(_path(self._folder, position.step)) as path,
            open(path, "wb") as file,
        ):
            arrays[_HEADER] = np.array(json.dumps(header))
            np.savez(file, allow_pickle=False, **arrays)
            self._check_held()
        # Only now, when the newer state is on disk.
        self._remove_old()

    def _remove_old(self) -> None:
        """Leaves the newest files and, should the last be lost, each one's own best."""
        steps = steps_of(self._folder)
        newest = steps[-self._keep :]
        best = set()
        for step in newest:
            # An older file that cannot be read harms nobody before it is needed.
            with contextlib.suppress(CheckpointError):
                best.add(_position(_read_header(self._folder, step)).best_step)
        for step in set(steps).difference(newest, best):
            path = _path(self._folder, step)
            with files.explained(path):
                path.unlink()

    def restore(self, step: int) -> Position:
        """Sets every variable to its value in the checkpoint of `step`.

        Raises:
          CheckpointError: the file is damaged, of another run, or does not hold
            exactly these variables in these shapes. Nothing is changed then.
        """
        header, arrays = _read(self._folder, step)
        variables = self._variables()
        for name in variables.keys() ^ arrays.keys():
            if name.startswith(_COMES_AND_GOES):
                variables.pop(name, None)
                arrays.pop(name, None)
        self._check(step, header, arrays, variables)
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return _position(header)

    def _variables(self) -> dict[str, keras.Variable]:
        # Numbered, since Keras does not promise that paths differ.
        return {
            f"{group}/{i:04d}": variable
            for group, variables in self._state.items()
            for i, variable in enumerate(variables)
        }

    def _check(
        self,
        step: int,
        header: dict[str, Any],
        arrays: dict[str, np.ndarray],
        variables: dict[str, keras.Variable],
    ) -> None:
        path = _path(self._folder, step)
        run = str(header.get("run"))
        if run != self._run and not self._is_earlier(run):
            raise CheckpointError(
                f"checkpoint {path} must be of this run ({self._run}), got one of "
                f"{run}; move it away, or choose another --workdir"
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


def steps_of(folder: epath.Path) -> list[int]:
    """The steps of which there is a checkpoint, in order."""
    with files.reached(folder):
        names = [path.name for path in files.inside(folder)]
    found = (re.fullmatch(r"step-(\d+)\.npz", name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def _path(folder: epath.Path, step: int) -> epath.Path:
    return folder / f"step-{step:08d}.npz"


def _position(header: dict[str, Any]) -> Position:
    names = [field.name for field in dataclasses.fields(Position)]
    return Position(**{name: header[name] for name in names if name in header})


def _read_header(folder: epath.Path, step: int) -> dict[str, Any]:
    with _stored(_path(folder, step)) as arrays:
        return _header(arrays)


def _read(
    folder: epath.Path, step: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and variables; reading verifies the checksum of each."""
    with _stored(_path(folder, step)) as arrays:
        names = [name for name in arrays if name != _HEADER]
        return _header(arrays), {name: arrays[name] for name in names}


def _header(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    header: dict[str, Any] = json_text.parse(str(arrays[_HEADER]))
    return header


@contextlib.contextmanager
def _stored(path: epath.Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of a checkpoint, read when asked for."""
    try:
        # Opened here, since NumPy leaves a damaged file open.
        with files.opened(path) as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except FileNotFoundError as error:
        raise CheckpointError(
            f"checkpoint {path} is missing; {_way_out(path)}"
        ) from error
    except _DAMAGE as error:
        raise CheckpointError(
            f"checkpoint {path} is damaged: {error}; {_way_out(path)}"
        ) from error


def _way_out(path: epath.Path) -> str:
    """Newer files may point at this one as their best, so they go with it."""
    steps = steps_of(path.parent)
    names = {step: _path(path.parent, step).name for step in steps}
    gone = [name for name in names.values() if name >= path.name]
    if not gone:
        return "see that all workers share one --workdir, or choose another"
    older = [step for step, name in names.items() if name < path.name]
    back = f"go on from step {older[-1]}" if older else "start anew"
    return f"delete {', '.join(gone)} there to {back}"
