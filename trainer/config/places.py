"""Paths as users write them, and the prefixes that tell the kinds of datasets."""

import contextvars
import os

# Prefixes that may stand before the path in a setting.
FOLDER = "folder:"
TABLES = ("csv:", "npz:")
_SCHEMES = (FOLDER, *TABLES, "run:", "sqlite:///")

_CONFIG_FOLDER: contextvars.ContextVar[str] = contextvars.ContextVar(
    "config_folder", default=""
)


def expand_home(name: str) -> str:
    """The name with the home folder in the place of a "~" that begins its path."""
    scheme = next(filter(name.startswith, _SCHEMES), "")
    return scheme + os.path.expanduser(name.removeprefix(scheme))


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
