"""The versions that there are of a model, and the one that a reference means."""

import json
import re
from typing import Any

from etils import epath

from trainer.config import (
    LATEST,
    PROMOTED,
    ConfigError,
    EvaluateView,
    Reference,
    places,
    value_before,
)
from trainer.registry import card, version_lease
from trainer.storage import files, folders, model_classes, seal

MODEL = "model.keras"
_PROMOTED = "promoted.json"


def names(root: epath.Path) -> list[str]:
    """The models of a registry.

    Raises:
      StorageError: it cannot be read.
    """
    with files.wrap_read_errors(root, disks_too=True):
        found = files.list_folder(root)
    return sorted(path.name for path in found if numbers(path))


def numbers(folder: epath.Path) -> list[int]:
    """The versions in the folder of a model, those whose writers ended early too.

    Raises:
      StorageError: it cannot be read.
    """
    with files.wrap_read_errors(folder, disks_too=True):
        found = [path.name for path in files.list_folder(folder)]
    return sorted(int(name) for name in found if _is_number(name))


def _is_number(name: str) -> bool:
    # Digits of other scripts are decimal too, and int() takes them.
    return bool(re.fullmatch(r"[1-9][0-9]*", name))


def complete(folder: epath.Path) -> list[int]:
    """The versions that were written to their end: the card is the last file.

    Raises:
      StorageError: the folder cannot be read.
    """
    with files.wrap_read_errors(folder, disks_too=True):
        return [
            number
            for number in numbers(folder)
            if files.exists(folder / str(number) / card.CARD)
        ]


def newest(root: epath.Path, name: str) -> tuple[int, card.Card] | None:
    """The last version of a model, and its card; None where there is none.

    Raises:
      StorageError: the card is damaged.
    """
    known = complete(root / name)
    return (known[-1], card.read(root / name / str(known[-1]))) if known else None


def promoted_version(folder: epath.Path) -> int | None:
    """The version that was promoted last; None where none was.

    Raises:
      StorageError: the file that says so is damaged, or cannot be read.
    """
    path = folder / _PROMOTED
    if not files.exists(path):
        return None
    try:
        with files.wrap_read_errors(path, disks_too=True):
            content = path.read_bytes()
        return int(seal.parse(content)["version"])
    except (ValueError, TypeError, KeyError) as error:
        raise files.StorageError(
            f"{path} must say which version is promoted, got something else "
            f"({error!r}); run `python -m trainer registry promote` again"
        ) from error


def number_of(root: epath.Path, reference: Reference) -> int:
    """The version that `reference` means now.

    Raises:
      ConfigError: there is no such model, or no such version of it.
    """
    folder = root / reference.name
    known = complete(folder)
    if not known:
        problem = f"no such model in {root}"
        if not files.exists(root):
            problem += f", which is not there ({places.path_hint(str(root))})"
        raise _unknown_error(reference, problem, ", ".join(names(root)) or "none")
    number = reference.number
    if reference.version == LATEST:
        number = known[-1]
    elif reference.version == PROMOTED:
        number = promoted_version(folder)
    if number is None:
        raise _unknown_error(reference, "no version is promoted", _join_versions(known))
    if number not in known:
        problem = "no such version"
        if number in numbers(folder):
            problem = f"version {number} has no card, so its writer did not end"
        raise _unknown_error(reference, problem, _join_versions(known))
    return number


def folder_of(root: epath.Path, reference: Reference) -> epath.Path:
    """The folder of the version that `reference` means now."""
    return root / reference.name / str(number_of(root, reference))


def model_of(root: epath.Path, reference: Reference) -> epath.Path:
    """The model.keras of the version that `reference` means now.

    Raises:
      ConfigError: there is no such version.
      StorageError: the file is gone, or is not what was registered.
    """
    return check_file(folder_of(root, reference), MODEL)


def names_of_file(path: epath.Path) -> list[str] | None:
    """The names of the classes of the model at `path`, also of a registered one.

    None where nothing says them.

    Raises:
      StorageError: what says them is damaged.
    """
    beside = model_classes.read(path)
    if beside is not None:
        return beside.classes
    own = _card_of_file(path)
    return list(own["classes"]) if own else None


def view_of_file(path: epath.Path) -> EvaluateView | None:
    """The view of images that the model at `path` learned with; None if not told.

    Raises:
      StorageError: what tells it is damaged.
    """
    beside = model_classes.read(path)
    if beside is not None:
        return beside.view
    own = _card_of_file(path)
    return EvaluateView.of(own["config"].get("data") or {}) if own else None


def columns_of_file(path: epath.Path) -> tuple[str, ...]:
    """The features of the rows that the model at `path` takes; () if not told.

    Raises:
      StorageError: what tells them is damaged.
    """
    beside = model_classes.read(path)
    if beside is not None:
        return beside.columns
    own = _card_of_file(path)
    return tuple(own["input"].get("columns", ())) if own else ()


def role_of_file(path: epath.Path) -> str:
    """The role of the registered model at `path`; "student" if it is of no version.

    Raises:
      StorageError: its card is damaged.
    """
    own = _card_of_file(path)
    return str(own["role"]) if own else "student"


def _card_of_file(path: epath.Path) -> card.Card | None:
    """The card of the version that a path is of; None where it is of none."""
    # It may name the version's folder, a SavedModel, or its model.keras.
    for folder in (path, path.parent):
        if _is_number(folder.name) and files.exists(folder / card.CARD):
            return card.read(folder)
    return None


def background_of(model: epath.Path) -> Any:
    """The data.background with which the registered file `model` learned.

    Raises:
      StorageError: its card is damaged.
    """
    settings = card.read(model.parent)["config"].get("data") or {}
    (before,) = value_before("data.background")
    return settings.get("background", before)


def check_file(folder: epath.Path, name: str) -> epath.Path:
    """The path of one file of the version in `folder`, as it was registered.

    Raises:
      StorageError: it is gone, or cannot be read, or is not what was registered.
    """
    known, path = card.read(folder)["files"], folder / name
    problem = "it is not there"
    if name in known and files.exists(path):
        with files.wrap_read_errors(path, disks_too=True):
            if folders.checksum(path) == known[name]:
                return path
        problem = "its checksum is another"
    raise files.StorageError(
        f"{path} must be as it was registered, but {problem}; restore it, or use "
        "another version"
    )


def promote(root: epath.Path, reference: Reference) -> int:
    """Makes the version that `reference` means the promoted one; gives its number.

    Raises:
      ConfigError: there is no such version.
      StorageError: one of its files is damaged, or the registry cannot be written.
    """
    folder = root / reference.name
    number = number_of(root, reference)
    version = folder / str(number)
    for name in card.read(version)["files"]:
        check_file(version, name)
    path = folder / _PROMOTED
    with (
        version_lease.hold(folder),
        files.atomic_path(path, hint="choose another registry.root") as temporary,
    ):
        text = json.dumps(seal.add_checksum({"version": number}))
        temporary.write_text(f"{text}\n", encoding="utf-8")
    return number


def _unknown_error(reference: Reference, problem: str, known: str) -> ConfigError:
    return ConfigError(
        f"{reference.setting} must name a registered model, got '{reference}': "
        f"{problem}; known: {known}"
    )


def _join_versions(known: list[int]) -> str:
    return ", ".join(map(str, known))
