"""The archive predictions.npz: logits of the test split, and images of it."""

import numpy as np

from trainer import data
from trainer.session.datasets import Datasets
from trainer.storage import files
from trainer.storage.workdir import PREDICTIONS

_NUM_PICTURED = 4  # test images kept for the report


def write(
    datasets: Datasets, test: data.Examples, logits: dict[str, np.ndarray]
) -> None:
    """The selected models' predictions, and images of which the teacher is unsure."""
    rows = np.zeros(0, np.int64)
    is_image = len(datasets.source.input_shape) in (2, 3)  # and no row of a table
    if is_image and "teacher" in logits:
        rows = _telling_rows(logits["teacher"], test.labels)
    path = datasets.path / PREDICTIONS
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            labels=test.labels,
            ids=test.ids,
            class_names=np.array(datasets.source.class_names),
            example_rows=rows,
            example_images=pictures(test.read(rows)),
            **{f"{role}_logits": values for role, values in logits.items()},
        )


def pictures(images: np.ndarray) -> np.ndarray:
    """The channels that can be shown: the colours, or the first one, as 8 bits.

    Images [K, H, W] or [K, H, W, C] of numbers become uint8 [K, H, W, 1 or 3].
    """
    images = images[..., np.newaxis] if images.ndim == 3 else images
    shown = images[..., :3] if images.shape[-1] >= 3 else images[..., :1]
    if images.dtype == np.uint8 or not len(images):
        return shown
    low, high = shown.min(), shown.max()
    bright = (shown - low) / max(high - low, np.finfo(np.float32).tiny)
    pixels: np.ndarray = np.round(255 * bright).astype(np.uint8)
    return pixels


def _telling_rows(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Right predictions with the smallest lead, one a class."""
    ordered = np.sort(logits, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    chosen: dict[int, int] = {}
    for row in np.argsort(lead):
        if logits[row].argmax() == labels[row]:
            chosen.setdefault(int(labels[row]), int(row))
    return np.array(list(chosen.values())[:_NUM_PICTURED], np.int64)
