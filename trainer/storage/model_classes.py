"""A model's classes, in the order of its outputs, and its view, beside its file."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from trainer.config import EvaluateView
from trainer.storage import files, seal


def write(path: epath.Path, names: Sequence[str], view: EvaluateView) -> None:
    """Puts the names of the classes beside the model at `path`, and its view.

    Of models that are shown whole images there is no more to tell.
    """
    told: dict[str, Any] = {"classes": list(names)}
    if view != EvaluateView():
        told |= view.settings
    files.write_json(_beside(path), seal.add_checksum(told))


def read(path: epath.Path) -> list[str] | None:
    """The names beside the model at `path`; None where there are none.

    Raises:
      StorageError: the file that has them is damaged, or cannot be read.
    """
    found = _read(path)
    return found and found[0]


def read_view(path: epath.Path) -> EvaluateView | None:
    """The view of images that the model at `path` learned with; None if not told.

    Raises:
      StorageError: the file that tells it is damaged, or cannot be read.
    """
    found = _read(path)
    return found and found[1]


def _read(path: epath.Path) -> tuple[list[str], EvaluateView] | None:
    file = _beside(path)
    with files.wrap_read_errors(file, disks_too=True):
        content = files.read(file)
    if content is None:
        return None
    try:
        told = seal.parse(content)
        names = told["classes"]
        if not isinstance(names, list) or not all(isinstance(x, str) for x in names):
            raise ValueError("its classes are no list of texts")
        return names, EvaluateView.of(told)
    except (ValueError, TypeError, KeyError) as error:
        raise files.StorageError(
            f"{file} must hold the names of the classes of a model, got something else "
            f"({error!r}); restore it, or remove it to have the data's taken"
        ) from error


def _beside(path: epath.Path) -> epath.Path:
    return path.parent / f"classes.{path.name}.json"
