"""The folders in a workdir that a run itself writes to, and removes files from."""

from etils import epath

from trainer.config import ConfigError
from trainer.storage import evaluation_files
from trainer.storage.workdir import (
    CELLS,
    CROSSVAL,
    EXPORT,
    LISTS,
    RECORDS,
    REPORT,
    ROLES,
    SOFT_TARGETS,
)

FOLDERS = (
    *(*ROLES, CROSSVAL, CELLS, SOFT_TARGETS, LISTS, RECORDS, EXPORT),
    *(REPORT.partition("/")[0], evaluation_files.FOLDER),
)


def check_apart(folder: epath.Path, workdir: epath.Path) -> None:
    """Finds that the `folder` of a registered model is none of a run's own.

    Raises:
      ConfigError: export, for one, would remove what is registered there.
    """
    # As the file system has them, whatever they are called.
    below = f"{folder.resolve()}/".partition(f"{workdir.resolve()}/")
    if not below[0] and below[1] and below[2].partition("/")[0] in FOLDERS:
        raise ConfigError(
            f"registry.root must lead to a folder beside those of the run, got "
            f"{folder} for the model, where the run itself writes; choose another "
            "registry.root"
        )
