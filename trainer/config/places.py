"""Paths as users write them, and the prefixes that tell the kinds of datasets."""

import contextvars
import os
import re
from collections.abc import Iterable

# Prefixes that may stand before the path in a setting.
FOLDER = "folder:"
LIST = "list:"
TABLES = ("csv:", "npz:")
TFDS = "tfds:"
TFRECORD = "tfrecord:"
SPLIT = "{split}"  # stands in its pattern for the names of splits
# Objects of a Python session, which have no name.
MEMORY = "memory:"
_DATASETS = (FOLDER, LIST, *TABLES, TFDS, TFRECORD, MEMORY)
_SCHEMES = (*_DATASETS, "run:", "hub:", "sqlite:///")

# A dataset of a user's own code; a version of a TFDS name starts with a digit.
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_COMMUNITIES = ("huggingface:", "kaggle:")  # of TFDS

# The names of datasets that have options: of record files, and of a user's own code.
PATTERNS_OF_OPTIONS = {
    "tfrecord": f"^{TFRECORD}",
    "": rf"^(?!({'|'.join((*_DATASETS, *_COMMUNITIES))})){_FUNCTION.pattern}$",
}

_CONFIG_FOLDER: contextvars.ContextVar[str] = contextvars.ContextVar(
    "config_folder", default=""
)


def expand_home(name: str) -> str:
    """The name with the home folder in the place of a "~" that begins its path."""
    scheme = next(filter(name.startswith, _SCHEMES), "")
    return scheme + os.path.expanduser(name.removeprefix(scheme))


def kind_of(dataset: str) -> str:
    """The kind of a dataset: its prefix, "function", or "name" of one of TFDS."""
    scheme = next(filter(dataset.startswith, _DATASETS), "")
    if scheme:
        return scheme.removesuffix(":")
    is_function = _FUNCTION.fullmatch(dataset)
    is_own = is_function and not dataset.startswith(_COMMUNITIES)
    return "function" if is_own else "name"


def dataset_of(word: str) -> str:
    """The dataset that a user means: a path alone is told by what is there."""
    path = expand_home(word)
    if os.path.isdir(path):
        names = os.listdir(path)
        table = next((s for s in ("csv", "npz") if _has(names, f".{s}")), "folder")
        kind = "tfds" if "dataset_info.json" in names else table
        return f"{kind}:{word.rstrip('/') or word}"
    kind = word.rpartition(".")[2].lower()
    return f"{kind}:{word}" if os.path.isfile(path) and kind in ("csv", "npz") else word


def _has(names: Iterable[str], ending: str) -> bool:
    return any(name.endswith(ending) for name in names)


def is_like_path(name: str) -> bool:
    """Whether a name is one of a file or a folder, and of no set of TFDS."""
    begins = name.startswith(("/", "./", "../", "~"))
    return begins or "\\" in name or name.endswith(("/", ".csv", ".npz"))


def remember(config_file: str) -> None:
    """Keeps where the config file lies, for what `path_hint` says."""
    _CONFIG_FOLDER.set(os.path.dirname(os.path.abspath(config_file)))


def beside_config(path: str) -> str:
    """The relative `path` as it is beside the config file; "" where it is not there."""
    folder = _CONFIG_FOLDER.get()
    beside = os.path.normpath(os.path.join(folder, path))
    is_relative = folder and not os.path.isabs(path) and "://" not in path
    return os.path.relpath(beside) if is_relative and os.path.exists(beside) else ""


def path_hint(path: str) -> str:
    """The end of a sentence on a `path` that is not there: where it may be instead."""
    rule = "a relative path starts at the working directory"
    beside = beside_config(path)
    return f"{rule}; it is beside the config file: write {beside}" if beside else rule
