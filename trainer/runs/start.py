"""A start of what trains: alone in its workdir, counted, with the workers, stopped."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from etils import epath

from trainer import console
from trainer.cluster import hold, restart_budget, tf_config
from trainer.cluster.termination import Termination
from trainer.config import Config
from trainer.storage import files, workdir
from trainer.tracking import Following, following

if TYPE_CHECKING:
    from trainer.session import Session
    from trainer.session.given import Given


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """A command that has begun, and hears of signals, before TensorFlow is loaded."""

    config: Config
    path: epath.Path  # the workdir
    termination: Termination
    hold: hold.Hold
    following: Following

    def claim(self) -> None:
        """Makes the workdir this run's, or finds that it is.

        A command that holds it not, and only reads, writes nothing there while another
        process trains.

        Raises:
          ConfigError: it holds a run with another config.
        """
        if self.hold is not hold.FREE:
            workdir.claim(self.path, self.config)
            return
        workdir.check(self.path, self.config)
        if not hold.is_free(self.path):
            return
        try:
            with hold.hold_folder(self.path, self.termination, within=hold.FREE):
                workdir.claim(self.path, self.config)
        except (hold.FolderInUseError, hold.LeaseLostError):
            return  # a training has begun at this moment
        except files.StorageError as error:
            # What is read of a run may be on a disk that nobody here may write.
            problem = f"{error}".partition(";")[0]
            console.log(f"{problem}; the workdir keeps no setting of this command")

    @contextlib.contextmanager
    def session(
        self,
        command: str,
        own: tf_config.Cluster | None,
        *,
        is_counted: bool = True,
        given: "Given | None" = None,
    ) -> Iterator["Session"]:
        """The session of `command`; workers leave it together.

        Starts of a command that others run there at the same time are not counted.

        Raises:
          BudgetSpentError: too many starts in a row were for nothing.
          StoppedError, PeerLostError, FloatingPointError: as the body, on all workers.
        """
        with contextlib.ExitStack() as stack:
            if own is None or own.is_chief:
                self.following.begin()
                if is_counted:
                    stack.enter_context(_count_start(self.config, self.path))
            # TensorFlow takes seconds to load, which wrong settings and a finished run
            # do not cost.
            from trainer.session import open_session

            end = self.termination
            session = open_session(
                self.config,
                self.path,
                own,
                end,
                command=command,
                hold=self.hold,
                given=given,
            )
            stack.enter_context(session.devices.workers.leaving_together(end))
            yield session


@contextlib.contextmanager
def begun(
    config: Config, path: epath.Path, *, holds: bool, is_guest: bool = False
) -> Iterator[Start]:
    """A start in the workdir `path`, in which nobody else trains if it `holds` it.

    One that `is_guest` in a program leaves that running when it ends.

    Raises:
      FolderInUseError, LostError: another process trains there.
    """
    end = Termination(
        grace_secs=config.runtime.grace_secs,
        watchdog_secs=config.runtime.watchdog_secs,
        is_guest=is_guest,
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(end.listening())
        own = hold.FREE
        if holds:
            own = stack.enter_context(hold.hold_folder(path, end, within=own))
        sent = stack.enter_context(following(config, path))
        yield Start(config=config, path=path, termination=end, hold=own, following=sent)


def _count_start(
    settings: Config, path: epath.Path
) -> contextlib.AbstractContextManager[None]:
    return restart_budget.count_start(
        path,
        soft_targets=workdir.soft_targets_folder(path, settings),
        max_restarts=settings.runtime.max_restarts,
    )
