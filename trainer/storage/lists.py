"""Lists of files that nothing was trained with, and those that are not whole."""

from etils import epath

from trainer.storage import files

_PARTIAL = ".listing"
_LIST = ".jsonl"


def partial_path(folder: epath.Path, name: str) -> epath.Path:
    """The folder of what is known of a list among those in `folder`."""
    return folder / f"{name}{_PARTIAL}"


def set_aside(folder: epath.Path) -> None:
    """Leaves of lists what new ones take their lines from, of files as they were.

    To read a million files again would take long.
    """
    for path in list(files.walk(folder)):
        if path.parent.suffix == _PARTIAL:
            continue
        if path.suffix == _LIST:
            partial = partial_path(path.parent, path.name.removesuffix(_LIST))
            partial.mkdir(exist_ok=True)
            path.replace(partial / f"whole{_LIST}")
        else:
            path.unlink()


def forget(folder: epath.Path, name: str) -> None:
    """Removes what was known of a list, which is written by now."""
    partial = partial_path(folder, name)
    if files.exists(partial):
        with files.wrap_write_errors(partial):
            partial.rmtree()
