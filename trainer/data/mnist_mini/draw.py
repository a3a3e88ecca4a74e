"""Draws mnist_mini.npz anew from a prepared MNIST.

    python -m trainer.data.mnist_mini.draw --data_dir=DIR

Example j of the k that a class gives is the one at place floor(j * n / k) among the
n of that class, in file order; the drawn examples keep that order.
"""

import pathlib

import numpy as np
import tensorflow_datasets as tfds
from absl import app, flags

from trainer.data.mnist_mini import ARRAYS

PER_CLASS = {"train": 1000, "test": 200}


def choose_ids(labels: np.ndarray, *, per_class: int) -> np.ndarray:
    """Places of the drawn examples in `labels`, ascending: [N] -> [classes * k]."""
    ids = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        ids.append(of_class[np.arange(per_class) * len(of_class) // per_class])
    return np.sort(np.concatenate(ids))


def draw(data_dir: str, path: pathlib.Path) -> None:
    """Writes the arrays to `path`: the same bytes from the same MNIST."""
    builder = tfds.builder("mnist:3.0.1", data_dir=data_dir)
    # One file at a time, so that source ids count in file order.
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    arrays = {}
    for split, per_class in PER_CLASS.items():
        dataset = builder.as_dataset(
            split=split, batch_size=-1, shuffle_files=False, read_config=in_order
        )
        images, labels = dataset["image"].numpy(), dataset["label"].numpy()
        ids = choose_ids(labels, per_class=per_class)
        arrays[f"{split}_images"] = images[ids]
        arrays[f"{split}_labels"] = labels[ids].astype(np.uint8)
        arrays[f"{split}_source_ids"] = ids.astype(np.int32)
    np.savez_compressed(path, **arrays)


def main(argv: list[str]) -> None:
    """Writes the arrays beside this file."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    draw(flags.FLAGS.data_dir, ARRAYS)


if __name__ == "__main__":
    flags.DEFINE_string("data_dir", None, "TFDS directory with a prepared mnist.")
    flags.mark_flag_as_required("data_dir")
    app.run(main)
