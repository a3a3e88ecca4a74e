"""Files beside the results that help to read them, and may be missing.

They are written anew by `evaluate` where results.json is deleted.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from etils import epath

from trainer.report import problems
from trainer.storage import files, folders, seal
from trainer.storage.evaluation_files import FOLDER, ROWS, THUMBNAILS

Arrays = Mapping[str, np.ndarray]
T = TypeVar("T")


def read(path: epath.Path) -> dict[str, Any]:
    """The JSON object in the file; {} where there is none.

    Raises:
      ReportError: it is damaged.
    """
    if not files.exists(path):
        return {}
    try:
        return seal.parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise problems.of_file(path, f"is not as it was written ({error})") from error


def read_thumbnails(
    workdir: epath.Path, environment: dict[str, Any], num_examples: int
) -> dict[int, np.ndarray]:
    """Small images uint8 [H, W, 1 or 3] of test examples, by their rows.

    None where the `environment`, which was written after them, does not know them.

    Raises:
      ReportError: the file is damaged.
    """
    return _by_row(workdir / THUMBNAILS, environment, num_examples, _images)


def read_rows(
    workdir: epath.Path, environment: dict[str, Any], num_examples: int
) -> dict[int, dict[str, float]]:
    """The features of test examples of a table by their names, by their rows.

    None where the `environment`, which was written after them, does not know them.

    Raises:
      ReportError: the file is damaged.
    """
    return _by_row(workdir / ROWS, environment, num_examples, _features)


def _by_row(
    path: epath.Path,
    environment: dict[str, Any],
    num_examples: int,
    values_of: Callable[[Arrays], Iterable[T]],
) -> dict[int, T]:
    """The values of a file of examples that the environment knows, by their rows."""
    known = environment.get("files", {}).get(f"{FOLDER}/{path.name}")
    if known is None or not files.exists(path):
        return {}
    if folders.checksum(path) != known:
        raise problems.of_file(path, "is not the one that was written")
    try:
        with files.open_for_reading(path) as file, np.load(file) as arrays:
            rows, values = arrays["rows"], values_of(arrays)
            if np.any((rows < 0) | (rows >= num_examples)):
                raise ValueError("rows that are not those of the test split")
            return dict(zip(map(int, rows), values, strict=True))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise problems.of_file(path, f"is malformed ({error})") from error


def _images(arrays: Arrays) -> np.ndarray:
    images = arrays["images"]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(f"images {images.dtype} {images.shape}")
    return images


def _features(arrays: Arrays) -> Iterator[dict[str, float]]:
    names = arrays["names"].tolist()
    for values in arrays["values"]:
        yield dict(zip(names, map(float, values), strict=True))
