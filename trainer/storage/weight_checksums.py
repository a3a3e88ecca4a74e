"""The checksums of the files of weights that a run began with."""

from etils import epath

from trainer.config import ConfigError
from trainer.storage import files, seal
from trainer.storage.workdir import WEIGHTS


def read(folder: epath.Path) -> dict[str, str]:
    """The SHA-256 of each file, by its setting; empty where none is kept yet.

    Raises:
      ConfigError: what is kept is damaged.
    """
    path = folder / WEIGHTS
    try:
        content = files.read(path)
        return {} if content is None else seal.parse(content)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} must say which files of weights a run began with, got "
            f"something else ({error}); choose another --workdir"
        ) from error


def keep(folder: epath.Path, setting: str, found: str) -> str:
    """The checksum of the file of `setting`; `found` where none is kept yet.

    Raises:
      ConfigError: what is kept is damaged.
      StorageError: it cannot be written.
    """
    kept = read(folder)
    if setting not in kept:
        kept[setting] = found
        files.write_json(folder / WEIGHTS, seal.add_checksum(kept))
    return str(kept[setting])


def check(folder: epath.Path, setting: str, path: str, found: str, known: str) -> None:
    """Refuses the file `path` of the checksum `found` where another one is `known`.

    Raises:
      ConfigError: it is not the file that the run in `folder` began with.
    """
    if found != known:
        raise ConfigError(
            f"{setting} must be the file that this run began with, of SHA-256 {known} "
            f"by {folder / WEIGHTS}, got {path!r} with {found}; it is damaged or "
            "another: put it back, or choose another --workdir"
        )
