"""Files beside the results that help to read them, and may be missing.

They are written anew by `evaluate` where results.json is deleted.
"""

import contextlib
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from etils import epath

from trainer.report import problems
from trainer.storage import files, folders, seal
from trainer.storage.evaluation_files import FOLDER, ROWS, THUMBNAILS


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
    path = workdir / THUMBNAILS
    with _malformed(path):
        arrays = _arrays(path, environment, num_examples)
        if not arrays:
            return {}
        images = arrays["images"]
        if (
            images.dtype != np.uint8
            or images.ndim != 4
            or images.shape[3] not in (1, 3)
        ):
            raise ValueError(f"images {images.dtype} {images.shape}")
        return dict(zip(map(int, arrays["rows"]), images, strict=True))


def read_rows(
    workdir: epath.Path, environment: dict[str, Any], num_examples: int
) -> dict[int, dict[str, float]]:
    """The features of test examples of a table by their names, by their rows.

    None where the `environment`, which was written after them, does not know them.

    Raises:
      ReportError: the file is damaged.
    """
    path = workdir / ROWS
    with _malformed(path):
        arrays = _arrays(path, environment, num_examples)
        if not arrays:
            return {}
        values, names = arrays["values"], arrays["names"].tolist()
        return {
            int(row): dict(zip(names, map(float, features), strict=True))
            for row, features in zip(arrays["rows"], values, strict=True)
        }


def _arrays(
    path: epath.Path, environment: dict[str, Any], num_examples: int
) -> dict[str, np.ndarray]:
    """The arrays of a file that the environment knows; {} where there is none."""
    known = environment.get("files", {}).get(f"{FOLDER}/{path.name}")
    if known is None or not files.exists(path):
        return {}
    if folders.checksum(path) != known:
        raise problems.of_file(path, "is not the one that was written")
    with files.open_for_reading(path) as file, np.load(file) as arrays:
        found = dict(arrays)
    rows = found["rows"]
    if np.any((rows < 0) | (rows >= num_examples)):
        raise ValueError("rows that are not those of the test split")
    return found


@contextlib.contextmanager
def _malformed(path: epath.Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise problems.of_file(path, f"is malformed ({error})") from error
