"""One checkpoint, the file `step-N.npz`: how it is written, read and found damaged."""

import contextlib
import dataclasses
import json
import pathlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.config.selection import ACCURACY
from trainer.storage import files, json_text

_HEADER = "header"  # the array that holds run and progress, as JSON

# A damaged header of an archive can raise any of these, even ask for a password.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, tf.errors.OpError),
    *(ValueError, KeyError, TypeError, AttributeError, EOFError, OSError),
    *(RuntimeError, OverflowError, MemoryError),
)


class CheckpointError(ValueError):
    """A checkpoint cannot be restored; the message names the file and a way out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """Steps of a training and its best validation so far (step 0: none yet)."""

    step: int = 0  # finished steps
    best_step: int = 0
    best_value: float = 0.0  # of that metric at that step; of no meaning before one
    # The metric of the validation; in files of earlier versions it was accuracy.
    select_by: str = ACCURACY
    is_closed: bool = True  # whether all the step needs is done: line, evaluation
    # Sums of the metrics since the last line; see trainer.train.loop.
    window: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    lines: str = ""  # checksum of the logged lines; "" in files of earlier versions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The contents of one file."""

    run: str  # identifies the training
    progress: Progress
    arrays: dict[str, np.ndarray]  # by the names of the variables


def steps_of(folder: epath.Path) -> list[int]:
    """The steps of which there is a checkpoint, in order."""
    with files.wrap_read_errors(folder):
        names = [path.name for path in files.list_folder(folder)]
    found = (re.fullmatch(r"step-(\d+)\.npz", name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def path_of(folder: epath.Path, step: int) -> epath.Path:
    """The file of the checkpoint of `step`."""
    return folder / f"step-{step:08d}.npz"


def write(
    path: pathlib.Path,
    *,
    run: str,
    progress: Progress,
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Writes a checkpoint of the training that `run` identifies."""
    header = {"run": run, **dataclasses.asdict(progress)}
    with open(path, "wb") as file:
        named = {**arrays, _HEADER: np.array(json.dumps(header))}
        np.savez(file, allow_pickle=False, **named)


def read(folder: epath.Path, step: int) -> Checkpoint:
    """Reads a whole checkpoint, which verifies the checksum of each array.

    Raises:
      CheckpointError: it is missing or damaged.
    """
    with _open(path_of(folder, step)) as arrays:
        header = _header(arrays)
        return Checkpoint(
            run=str(header.get("run")),
            progress=_progress(header),
            arrays={name: arrays[name] for name in arrays if name != _HEADER},
        )


def read_progress(folder: epath.Path, step: int) -> Progress:
    """Reads how far a training was at a checkpoint; its variables stay on disk.

    Raises:
      CheckpointError: it is missing or damaged.
    """
    with _open(path_of(folder, step)) as arrays:
        return _progress(_header(arrays))


def _header(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    header: dict[str, Any] = json_text.parse(str(arrays[_HEADER]))
    return header


def _progress(header: dict[str, Any]) -> Progress:
    names = [field.name for field in dataclasses.fields(Progress)]
    if "best_accuracy" in header:  # as earlier versions called it
        header = {"best_value": header["best_accuracy"], **header}
    return Progress(**{name: header[name] for name in names if name in header})


@contextlib.contextmanager
def _open(path: epath.Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of a checkpoint, read when asked for."""
    try:
        # Opened here, since NumPy leaves a damaged file open.
        with (
            files.open_for_reading(path) as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            yield arrays
    except FileNotFoundError as error:
        raise CheckpointError(f"checkpoint {path} is missing; {_hint(path)}") from error
    except _DAMAGE as error:
        raise CheckpointError(
            f"checkpoint {path} is damaged: {error}; {_hint(path)}"
        ) from error


def _hint(path: epath.Path) -> str:
    """Newer files may point at this one as their best, so they go with it."""
    steps = steps_of(path.parent)
    names = {step: path_of(path.parent, step).name for step in steps}
    gone = [name for name in names.values() if name >= path.name]
    if not gone:
        return "see that all workers share one --workdir, or choose another"
    older = [step for step, name in names.items() if name < path.name]
    back = f"go on from step {older[-1]}" if older else "start anew"
    return f"delete {', '.join(gone)} there to {back}"
