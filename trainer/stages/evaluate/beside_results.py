"""Files beside the results: telling examples, small or as rows; versions, devices."""

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
_MOST_FEATURES = 40  # of a row


def write(session: Session, test: data.Examples, logits: dict[str, np.ndarray]) -> None:
    """Replaces those of earlier results; `logits` are by model, of the test split."""
    folder = session.path / evaluation_files.FOLDER
    with files.wrap_write_errors(folder):
        for earlier in files.list_folder(folder):
            earlier.unlink(missing_ok=True)
    # The examples first, whose checksum the other file has.
    examples = _write_examples(session, test, logits)
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
                "files": examples,
            }
        ),
    )


def _write_examples(
    session: Session, test: data.Examples, logits: dict[str, np.ndarray]
) -> dict[str, str]:
    """Writes the file of the most telling ones; returns its checksum by its name."""
    source = session.datasets.source
    num_axes, rows = len(source.input_shape), _telling_rows(logits, test.labels)
    if num_axes not in (1, 2, 3) or not len(rows):
        return {}
    found = test.read(rows)
    if num_axes == 1:
        name, arrays = evaluation_files.ROWS, _features(source, found)
    else:
        name, arrays = evaluation_files.THUMBNAILS, {"images": _shrink(pictures(found))}
    path = session.path / name
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, rows=rows, **arrays)
    return {name: folders.checksum(path)}


def _features(source: data.Source, found: np.ndarray) -> dict[str, np.ndarray]:
    """The first features of rows [K, F], and their names."""
    numbered = [f"feature {i}" for i in range(found.shape[1])]
    names = list(data.feature_names(source) or numbered)
    return {
        "values": found[:, :_MOST_FEATURES].astype(np.float64),
        "names": np.array(names[:_MOST_FEATURES]),
    }


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
