"""Files beside the results: small images of telling examples, versions and devices."""

import os
import platform

import keras
import numpy as np
import tensorflow as tf

import trainer
from trainer import data, registry
from trainer.evaluation import disagreements
from trainer.session import Session
from trainer.stages.evaluate.predictions_archive import pictures
from trainer.storage import evaluation_files, files, folders, seal

_SIDE = 64  # pixels of a thumbnail, at most


def write(session: Session, test: data.Examples, logits: dict[str, np.ndarray]) -> None:
    """Replaces those of earlier results; `logits` are by model, of the test split."""
    folder = session.path / evaluation_files.FOLDER
    with files.wrap_write_errors(folder):
        for earlier in files.list_folder(folder):
            earlier.unlink(missing_ok=True)
    # The images first, whose checksum the other file has.
    images = _write_thumbnails(session, test, logits)
    files.write_json(
        session.path / evaluation_files.ENVIRONMENT,
        seal.add_checksum(
            {
                "alambic": trainer.__version__,
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
                "git": registry.revision(),
                "machine": f"{platform.platform()}, {os.cpu_count()} processors",
                "devices": session.devices.description,
                "files": images,
            }
        ),
    )


def _write_thumbnails(
    session: Session, test: data.Examples, logits: dict[str, np.ndarray]
) -> dict[str, str]:
    """Writes the file, if there are images; returns its checksum by its name."""
    is_image = len(session.datasets.source.input_shape) in (2, 3)
    rows = _telling_rows(logits, test.labels) if is_image else np.zeros(0, np.int64)
    if not len(rows):
        return {}
    path = session.path / evaluation_files.THUMBNAILS
    images = _shrink(pictures(test.read(rows)))
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, rows=rows, images=images)
    return {evaluation_files.THUMBNAILS: folders.checksum(path)}


def _telling_rows(logits: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
    """The rows of the most telling examples of each kind, in rising order: int [K]."""
    kinds = disagreements.disagreements(logits, labels).values()
    chosen = [rows[: disagreements.MOST] for rows in kinds]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *chosen]))


def _shrink(images: np.ndarray) -> np.ndarray:
    """Images uint8 [K, H, W, 1 or 3] with sides of no more than `_SIDE` pixels."""
    height, width = images.shape[1:3]
    shrunk = min(1.0, _SIDE / max(height, width))
    if shrunk == 1:
        return images
    size = (max(1, round(shrunk * height)), max(1, round(shrunk * width)))
    small = tf.image.resize(images, size, method="area")
    pixels: np.ndarray = np.round(np.array(small)).astype(np.uint8)
    return pixels
