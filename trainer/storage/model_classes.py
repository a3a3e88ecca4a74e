"""The names of a model's classes, in the order of its outputs, beside its file."""

from collections.abc import Sequence

from etils import epath

from trainer.storage import files, seal


def write(path: epath.Path, names: Sequence[str]) -> None:
    """Puts the names of the classes beside the model at `path`."""
    files.write_json(_beside(path), seal.add_checksum({"classes": list(names)}))


def read(path: epath.Path) -> list[str] | None:
    """The names beside the model at `path`; None where there are none.

    Raises:
      StorageError: the file that has them is damaged, or cannot be read.
    """
    file = _beside(path)
    if not files.exists(file):
        return None
    try:
        with files.wrap_read_errors(file, disks_too=True):
            names = seal.parse(file.read_bytes())["classes"]
        if not isinstance(names, list) or not all(isinstance(x, str) for x in names):
            raise ValueError("its classes are no list of texts")
    except (ValueError, TypeError, KeyError) as error:
        raise files.StorageError(
            f"{file} must hold the names of the classes of a model, got something else "
            f"({error!r}); restore it, or remove it to have the data's taken"
        ) from error
    return names


def _beside(path: epath.Path) -> epath.Path:
    return path.parent / f"classes.{path.name}.json"
