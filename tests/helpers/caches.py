"""A run with a cache of soft targets of the bundled set, and what a cache holds."""

import pathlib

import numpy as np
import tensorflow as tf

from tests.helpers import configs, small_models, whole_run
from trainer import main
from trainer.config import MlpOptions

SHIFTED = "--set=student.train.augment='shift'"
THREE_VIEWS = (SHIFTED, "--set=distill.views=3")


def write_teacher(path: pathlib.Path, shape: tuple[int, ...], num_classes: int) -> None:
    """A network with weights at random, whose logits are some units apart."""
    model = small_models.build(
        "mlp",
        MlpOptions(hidden_sizes=(16,)),
        image_shape=shape,
        num_classes=num_classes,
    )
    small_models.randomise(model)
    model.save(path)


def write_config(folder: pathlib.Path, tfds_dir: str) -> pathlib.Path:
    """The path of a config, with its teacher beside it."""
    write_teacher(folder / "teacher.keras", small_models.MNIST_SHAPE, 10)
    path = folder / "cached.toml"
    path.write_text(configs.CACHED.format(tfds_dir=tfds_dir, folder=folder))
    return path


def act(action: str, config: pathlib.Path, workdir: pathlib.Path, *more: str) -> int:
    """The exit code of `soft-targets ACTION`."""
    return main.main(whole_run.command("soft-targets", config, workdir, action, *more))


def build(config: pathlib.Path, workdir: pathlib.Path, *more: str) -> int:
    """The exit code of building, with the teacher before it."""
    return main.main(whole_run.command("teacher", config, workdir, *more)) or act(
        "build", config, workdir, *more
    )


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file below `folder` by its path there."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def records(folder: pathlib.Path, view: int, kind: np.dtype) -> np.ndarray:
    """A whole view, read by TensorFlow and NumPy alone."""
    paths = sorted(map(str, (folder / f"view-{view:04d}").glob("*.tfrecord")))
    parts = [r.numpy() for r in tf.data.TFRecordDataset(paths)]
    assert {len(part) for part in parts} == {kind.itemsize}
    found = np.frombuffer(b"".join(parts), kind).copy()
    found["id"] &= 2**40 - 1  # below the tag of the view and the cache
    return found


def told(capsys) -> str:
    """All that was said on standard error, in one line."""
    return " ".join(capsys.readouterr().err.split())


DENSE = np.dtype([("id", "<i8"), ("logits", "<f4", 10)])


TOP_3 = ("--set=distill.top_k=3", "--set=distill.tail_temperatures=[10.0, 1.0]")


THREE_LARGEST = np.dtype(
    [("id", "<i8"), ("classes", "<i4", 3), ("logits", "<f4", 3), ("tails", "<f4", 3)]
)
