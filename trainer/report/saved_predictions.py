"""Predictions of the test split, read from predictions.npz and checked.

Shapes: M = examples of the test split, C = classes, K = example images.
"""

import contextlib
import dataclasses
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np
from etils import epath

from trainer.report import problems
from trainer.storage import files


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """Test-split predictions of the first seed's selected checkpoints."""

    labels: np.ndarray  # int [M]
    class_names: list[str]  # C names
    logits: dict[str, np.ndarray]  # model -> float [M, C], in the order of the results
    example_rows: np.ndarray  # int [K], rows of the arrays above
    example_images: np.ndarray  # uint8 [K, H, W, 1 or 3]


def read_predictions(path: epath.Path, names: list[str]) -> Predictions:
    """The predictions of the models `names`.

    Raises:
      ReportError: the file is missing or malformed.
    """
    with open_arrays(path) as file, np.load(file) as arrays:
        return _predictions(arrays.__getitem__, names)


@contextlib.contextmanager
def open_arrays(path: epath.Path) -> Iterator[IO[bytes]]:
    """Yields the open file of arrays; what the body finds amiss names it."""
    try:
        with files.open_for_reading(path) as file:
            yield file
    except OSError as error:
        raise problems.of_file(path, f"cannot be read ({error})") from error
    except (EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise problems.of_file(path, f"is malformed ({error})") from error


def _predictions(array: Callable[[str], np.ndarray], names: list[str]) -> Predictions:
    """Raises KeyError or ValueError for arrays that are absent or do not fit."""
    found = Predictions(
        labels=array("labels"),
        class_names=[str(name) for name in array("class_names")],
        logits={name: array(f"{name}_logits") for name in names},
        example_rows=array("example_rows"),
        example_images=array("example_images"),
    )
    shape = (len(found.labels), len(found.class_names))
    for name, logits in found.logits.items():
        if logits.shape != shape:
            raise ValueError(f"`{name}_logits` is {logits.shape}, not {shape}")
    if not len(found.labels):
        raise ValueError("no examples")
    if np.any((found.labels < 0) | (found.labels >= shape[1])):
        raise ValueError(f"`labels` leaves the {shape[1]} classes")
    rows, images = found.example_rows, found.example_images
    if np.any((rows < 0) | (rows >= len(found.labels))):
        raise ValueError(f"`example_rows` leaves the {len(found.labels)} examples")
    if len(rows) and (
        images.ndim != 4 or len(images) != len(rows) or images.shape[3] not in (1, 3)
    ):
        raise ValueError(f"`example_images` is {images.shape} for {len(rows)} rows")
    return found
