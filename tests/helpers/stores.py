"""An object store in memory: TensorFlow's ram://, which stands for gs:// in tests."""

import tensorflow as tf
from etils import epath
from etils.epath import backend, gpath

BUCKET = "ram://bucket"


class _Replacing(type(backend.tf_backend)):
    """Writes replace a file, as in every store but ram://, which appends to it."""

    def open(self, path, mode):
        if "w" in mode and self.exists(path):
            self.remove(path)
        return super().open(path, mode)

    def copy(self, path, dst, overwrite):
        if overwrite and self.exists(dst):
            self.remove(dst)
        super().copy(path, dst, overwrite)


def register() -> None:
    """Teaches epath the scheme as it knows gs://.

    Its tables of schemes are private, but a path class of our own would not show what
    the one of gs:// does.
    """
    backend.tf_backend = _Replacing()
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
