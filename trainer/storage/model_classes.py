"""A model's classes and features, in the order that it has them, beside its file."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from etils import epath

from trainer.config import EvaluateView
from trainer.storage import files, seal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """The meaning of a model's inputs and outputs."""

    classes: list[str]
    view: EvaluateView  # of images
    columns: tuple[str, ...] = ()  # the features of a row; none of what is none


def write(
    path: epath.Path,
    names: Sequence[str],
    view: EvaluateView,
    columns: Sequence[str] = (),
) -> None:
    """Puts the names of the classes beside the model at `path`, and its view.

    Of models that are shown whole images there is no more to tell, and of those of rows
    the `columns`.
    """
    told: dict[str, Any] = {"classes": list(names)}
    if view != EvaluateView():
        told |= view.settings
    if columns:
        told["columns"] = list(columns)
    files.write_json(_beside(path), seal.add_checksum(told))


def read(path: epath.Path) -> Told | None:
    """The names and the view beside the model at `path`; None where there are none.

    Raises:
      StorageError: the file that has them is damaged, or cannot be read.
    """
    file = _beside(path)
    with files.wrap_read_errors(file, disks_too=True):
        content = files.read(file)
    if content is None:
        return None
    try:
        told = seal.parse(content)
        names, columns = told["classes"], told.get("columns", [])
        for each in (names, columns):
            if not isinstance(each, list) or not all(isinstance(x, str) for x in each):
                raise ValueError("its classes or columns are no list of texts")
        view = EvaluateView.of(told)
        return Told(classes=names, view=view, columns=tuple(columns))
    except (ValueError, TypeError, KeyError) as error:
        raise files.StorageError(
            f"{file} must hold the names of the classes of a model, got something else "
            f"({error!r}); restore it, or remove it to have the data's taken"
        ) from error


def _beside(path: epath.Path) -> epath.Path:
    return path.parent / f"classes.{path.name}.json"
