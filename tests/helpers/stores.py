"""An object store in memory: TensorFlow's ram://, which stands for gs:// in tests."""

import os

import tensorflow as tf
from etils import epath
from etils.epath import backend, gpath

BUCKET = "ram://bucket"


class _OfObjects(type(backend.tf_backend)):
    """What every store does but ram://, which is like a disk here.

    Writes replace a file, where ram:// appends to it; folders are there as long as
    there is a file below them, and are neither made nor removed.
    """

    def open(self, path, mode):
        if "w" in mode:
            if self.exists(path):
                self.gfile.remove(path)
            self.gfile.makedirs(os.path.dirname(path))
        return super().open(path, mode)

    def remove(self, path):
        super().remove(path)
        folder = os.path.dirname(path)
        while folder.startswith(BUCKET) and not self.gfile.listdir(folder):
            self.gfile.rmtree(folder)
            folder = os.path.dirname(folder)

    def copy(self, path, dst, overwrite):
        if overwrite and self.exists(dst):
            self.remove(dst)
        super().copy(path, dst, overwrite)


def register() -> None:
    """Teaches epath the scheme as it knows gs://.

    Its tables of schemes are private, but a path class of our own would not show what
    the one of gs:// does.
    """
    backend.tf_backend = _OfObjects()
    gpath._GCS_BACKENDS |= {backend.tf_backend}
    gpath._URI_PREFIXES += ("ram://",)
    gpath._URI_SCHEMES |= {"ram"}
    gpath._URI_MAP_ROOT["ram://"] = "/ram/"
    gpath._PREFIX_TO_BACKEND["ram"] = backend.tf_backend
    epath.register_path_cls("ram://")(gpath.PosixGPath)


def empty() -> None:
    """Removes every file and folder."""
    if tf.io.gfile.exists(BUCKET):
        tf.io.gfile.rmtree(BUCKET)


def listing(folder: str) -> list[str]:
    """The paths of all files under `folder`, relative to it, by tf.io.gfile alone."""
    return sorted(
        f"{top}/{name}".removeprefix(folder).lstrip("/")
        for top, _, names in tf.io.gfile.walk(folder)
        for name in names
    )


def contents(path: str) -> bytes:
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()
