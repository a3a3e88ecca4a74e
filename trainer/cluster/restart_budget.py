"""Starts of a run in a row that kept no step: who starts it again must end sometime.

Whoever restarts a failed run - a launcher, Kubernetes, Slurm - cannot tell whether it
gets anywhere. The workdir can: a start after which it holds neither a new checkpoint
nor a new model, nor a new shard of soft targets, has been for nothing.
"""

import contextlib
import fnmatch
from collections.abc import Iterator

from etils import epath

from trainer.cluster.rendezvous import PeerLostError
from trainer.cluster.termination import InterruptError, StoppedError
from trainer.storage import files, seal, workdir

_FILE = "attempts.json"


class BudgetSpentError(RuntimeError):
    """The run was started too many times for nothing."""


@contextlib.contextmanager
def count_start(
    path: epath.Path, *, soft_targets: epath.Path, max_restarts: int
) -> Iterator[None]:
    """The body is a start of the run in the workdir `path`.

    The run may keep shards of `soft_targets` there.

    Raises:
      BudgetSpentError: more than `max_restarts` restarts in a row were for nothing.
    """
    _begin(path, soft_targets, max_restarts)
    try:
        yield
    except BaseException as error:
        # Some ends are followed by another start, which no person makes.
        is_for_a_person = isinstance(error, InterruptError)
        if is_for_a_person or not isinstance(error, StoppedError | PeerLostError):
            _forget(path)
        raise
    _forget(path)


def _begin(path: epath.Path, soft_targets: epath.Path, max_restarts: int) -> None:
    # Those that are being written have names of another kind.
    num_shards = sum(
        fnmatch.fnmatch(file.name, "shard-*.tfrecord")
        for file in files.walk(soft_targets)
    )
    kept = [*workdir.kept_files(path), f"{num_shards} shards of soft targets"]
    in_vain, kept_before = _read(path)
    in_vain = in_vain + 1 if kept == kept_before else 0
    if in_vain > max_restarts:
        _forget(path)
        raise BudgetSpentError(
            f"{in_vain} starts in a row kept no step, more than the "
            f"{max_restarts} restarts of runtime.max_restarts; find the reason in "
            "their logs, or let more steps be kept by a lower runtime.save_every_steps"
        )
    files.write_json(
        path / _FILE, seal.add_checksum({"in_vain": in_vain, "kept": kept})
    )


def _forget(path: epath.Path) -> None:
    """The next start is a first one: the run has ended, or a person has to act."""
    # The end itself has a better reason to tell than this file.
    with contextlib.suppress(files.StorageError), files.wrap_write_errors(path):
        (path / _FILE).unlink(missing_ok=True)


def _read(path: epath.Path) -> tuple[int, list[str] | None]:
    """Reads the number of starts in vain, and the files there at the last one."""
    try:
        found = seal.parse((path / _FILE).read_bytes())
        return int(found["in_vain"]), list(found["kept"])
    except (ValueError, TypeError, KeyError, OSError):
        return 0, None
