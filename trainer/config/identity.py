"""The identity of a run: the settings that must stay once it has begun."""

import dataclasses
import json
import re
from typing import Any

from trainer.config import places
from trainer.config.earlier import value_before, without_later
from trainer.config.models import OWN
from trainer.config.rules import setting_name
from trainer.config.schema import Config

# A run may move to other devices and disks, be asked for more when its models are
# evaluated, predict or leave it, and have others beside it, of a study, a sweep, a
# cross-validation or a watch. It stays the same run, also by another name.
_MOVABLE = (
    *("runtime", "evaluate", "predict", "crossval", "study", "sweep", "export"),
    *("registry", "tracking", "watch"),
    *("data.data_dir", "distill.soft_targets_dir"),
    *("data.num_threads", "data.verify"),
    # It says nothing of opaque images. The lists of files know which are not.
    "data.background",
)

_CHOSEN = "distill.soft_targets"

# The accuracy that is asked of a teacher changes nothing of what it teaches.
_JUDGED = re.compile(r"(distill|teacher(\.members\[\d+\])?)\.min_accuracy")

_SETS = ("data.dataset", "data.unlabeled.dataset")

_NETWORK = re.compile(r"(?P<path>teacher|teacher\.members\[\d+\]|student)\.model")


def resolve(config: Config) -> dict[str, Any]:
    """Every setting with its value, in JSON's types."""
    plain: dict[str, Any] = json.loads(
        json.dumps(dataclasses.asdict(config, dict_factory=_settings))
    )
    if "group_size" in plain["distill"]:
        plain["distill"]["group_size"] = config.group_size
    return plain


def _settings(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {setting_name(name): value for name, value in fields}


def recorded_settings(config: Config) -> dict[str, Any]:
    """Every setting of a run that files keep.

    That is without the sweep, the address of whose storage may hold a password.
    """
    return resolve(dataclasses.replace(config, sweep=None))


def identity(
    settings: dict[str, Any], *, tables_may_move: bool = True
) -> dict[str, Any]:
    """The settings that a resumed run must share: {"section.field": value}.

    Of its seeds the first, which decides which views caches hold; others may follow.
    """
    shared = named_identity(settings, tables_may_move=tables_may_move)
    shared.pop("name", None)
    if isinstance(seeds := shared.get("seeds"), list):
        shared["seeds"] = seeds[:1]
    return shared


def named_identity(
    settings: dict[str, Any], *, tables_may_move: bool
) -> dict[str, Any]:
    """The identity with the name and all seeds, in the order of the schema."""
    flat = without_later(flatten(settings))
    dataset = str(flat.get("data.dataset", ""))
    movable = list(_MOVABLE)
    if dataset.startswith((places.FOLDER, places.LIST, *places.TABLES)):
        # Files give the same batches from memory and from disk.
        movable.append("data.memory_budget_bytes")
        movable += ["data.shuffle_window", "data.shuffle_window_bytes"]
        if flat.get("data.keep") == "files" or not _crops(flat):
            movable.append("data.keep")
        movable.append("data.read_parts")
    for path in _SETS:
        if str(flat.get(path)).startswith(places.FOLDER):
            # It may move too: the run keeps a list of what is in it.
            flat[path] = places.FOLDER
    may_move = places.TABLES if tables_may_move else ()
    if dataset.startswith((places.LIST, places.TFDS, places.TFRECORD, *may_move)):
        # And a table, and what else a run keeps the SHA-256 of.
        flat["data.dataset"] = dataset.partition(":")[0] + ":"
    for network in filter(None, map(_NETWORK.fullmatch, list(flat))):
        path = network["path"]
        files = [f"{path}.weights"]
        if f"{path}.class_names" in flat:
            files.append(f"{path}.class_names")
        if flat[f"{path}.model"] == "saved":
            files.append(f"{path}.options.path")
            flat.pop(f"{path}.options.import", None)  # which finds what the file has
        flat |= {file: _file_identity(flat.get(file)) for file in files}
    return {
        path: value
        for path, value in flat.items()
        if not any(path == name or path.startswith(f"{name}.") for name in movable)
        and not _JUDGED.fullmatch(path)
    }


def differences(
    before: dict[str, Any], after: dict[str, Any], *, tables_may_move: bool = True
) -> list[str]:
    """Each setting of the identity that differs, as "path: before -> after"."""
    old, new = (
        identity(settings, tables_may_move=tables_may_move)
        for settings in (before, after)
    )
    if "auto" in (old.get(_CHOSEN), new.get(_CHOSEN)):
        # It stays with what the first start chose, if anything was to be chosen.
        for settings in (old, new):
            settings.pop(_CHOSEN, None)
    old["seeds"], new["seeds"] = before.get("seeds"), after.get("seeds")
    if _begins_with(new["seeds"], old["seeds"]):
        del old["seeds"], new["seeds"]
    stated = [flatten(before), flatten(after)]
    return [
        f"{path}: {' -> '.join(map(_describe, (path, path), (old, new), stated))}"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _crops(flat: dict[str, Any]) -> bool:
    """Whether a training begins with a random crop."""
    found = (value for path, value in flat.items() if path.endswith(".augment"))
    return any("inception_crop" in (x, *x[:1]) for x in found if x)


def _begins_with(values: object, first: object) -> bool:
    if not (isinstance(values, list) and isinstance(first, list)):
        return False
    return values[: len(first)] == first


def _describe(path: str, shared: dict[str, Any], stated: dict[str, Any]) -> str:
    """The value of a setting, a file by its name, or what is done without it."""
    (value,) = value_before(path) or ("absent",)
    found = shared.get(path, value)
    # What may move says only whether there is one.
    return repr(stated.get(path, found) if isinstance(found, bool) else found)


def _file_identity(value: object) -> object:
    """A file may move, but starting from one or from none makes another run."""
    return value if value in ("imagenet", OWN) else bool(value)


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings of nested sections by their paths: {"section.field": value}.

    A list of tables is one too: {"section.list[0].field": value}.
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables = {f"{name}[{i}]": table for i, table in enumerate(value)}
            flat |= flatten(tables, prefix)
        else:
            flat[f"{prefix}{name}"] = value
    return flat
