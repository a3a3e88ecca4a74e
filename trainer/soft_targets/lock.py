"""One process at a time builds a cache."""

import contextlib
import fcntl
from collections.abc import Iterator

from etils import epath

from trainer import files
from trainer.soft_targets.errors import SoftTargetsError

_LOCK = "building"


@contextlib.contextmanager
def alone(folder: epath.Path) -> Iterator[None]:
    """No other process builds in `folder` during the body; a store cannot tell.

    Raises:
      SoftTargetsError: another one does.
      StorageError: the folder cannot be written.
    """
    if files.is_remote(folder):
        yield
        return
    path = folder / _LOCK
    with contextlib.ExitStack() as stack:
        with files.explained(path):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "wb"))
        try:
            # It goes with the process, however that ends.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SoftTargetsError(
                f"{folder} must be built by one run at a time, got another process "
                "that builds it now; wait for it, or choose another "
                "distill.soft_targets_dir"
            ) from error
        yield
