"""Files beside the results that help to read them, and may be missing.

They are written anew by `evaluate` where results.json is deleted.
"""

import zipfile
from typing import Any

import numpy as np
from etils import epath

from trainer.report import problems
from trainer.storage import files, folders, seal
from trainer.storage.evaluation_files import THUMBNAILS


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
    path, known = workdir / THUMBNAILS, environment.get("files", {})
    if THUMBNAILS not in known or not files.exists(path):
        return {}
    if folders.checksum(path) != known[THUMBNAILS]:
        raise problems.of_file(path, "is not the one that was written")
    try:
        with files.open_for_reading(path) as file, np.load(file) as arrays:
            rows, images = arrays["rows"], arrays["images"]
        if (
            images.dtype != np.uint8
            or images.ndim != 4
            or images.shape[3] not in (1, 3)
        ):
            raise ValueError(f"images {images.dtype} {images.shape}")
        if len(rows) != len(images) or np.any((rows < 0) | (rows >= num_examples)):
            raise ValueError("rows that are not those of the test split")
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise problems.of_file(path, f"is malformed ({error})") from error
    return dict(zip(map(int, rows), images, strict=True))
