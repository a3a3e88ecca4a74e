"""A start of what trains: counted, with the workers, and ended by SIGTERM."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from etils import epath

from trainer import attempts, cluster, termination, workdir
from trainer.config import Config

if TYPE_CHECKING:
    from trainer.stages import Session


@contextlib.contextmanager
def session(
    command: str,
    settings: Config,
    path: epath.Path,
    own: cluster.Cluster | None,
    *,
    is_counted: bool = True,
) -> Iterator["Session"]:
    """The session of `command` in the workdir `path`; workers leave it together.

    The start of a command that others run there at the same time is not counted.

    Raises:
      BudgetSpentError: too many starts in a row were for nothing.
      StoppedError, PeerLostError, FloatingPointError: as the body, on all workers.
    """
    end = termination.Termination(
        grace_secs=settings.runtime.grace_secs,
        watchdog_secs=settings.runtime.watchdog_secs,
    )
    with contextlib.ExitStack() as stack:
        if is_counted and (own is None or own.is_chief):
            stack.enter_context(_counted(settings, path))
        stack.enter_context(end.listening())
        # TensorFlow takes seconds to load, which wrong settings and a finished run do
        # not cost.
        from trainer import stages

        opened = stages.open_session(settings, path, own, end, command=command)
        stack.enter_context(opened.workers.parting(end))
        yield opened


def _counted(
    settings: Config, path: epath.Path
) -> contextlib.AbstractContextManager[None]:
    return attempts.counted(
        path,
        soft_targets=workdir.soft_targets_folder(path, settings),
        max_restarts=settings.runtime.max_restarts,
    )
