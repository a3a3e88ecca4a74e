"""The stages of a run in its workdir, from the first to the table of results.

Importing this loads no TensorFlow.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from etils import epath

from trainer import stages
from trainer.cluster import tf_config
from trainer.config import Config
from trainer.runs import start
from trainer.storage import kinds, workdir

if TYPE_CHECKING:
    from trainer.session.given import Given

WHOLE_RUN = stages.WHOLE_RUN


def run_stages(
    config: Config,
    path: epath.Path,
    names: tuple[str, ...] = WHOLE_RUN,
    *,
    given: "Given | None" = None,
    options: Mapping[str, str] = stages.NO_OPTIONS,
    waits: bool = False,
) -> str:
    """Runs the stages `names` in the workdir `path`; of all those that it asks for.

    A Python program that calls it has `given` what its config cannot say; one stage may
    have `options`. One that `waits` leaves caches to other processes. In a cluster,
    TF_CONFIG says which of its processes this is, and all of them call it with the same
    arguments.

    Returns:
      The table of results, where the last stage is one that has it, or what else that
      tells a program; "" on workers other than the chief.

    Raises:
      ConfigError, ClusterError, DataError, StorageError: they cannot be run like this.
      BudgetSpentError: too many starts in a row were for nothing.
      StoppedError, PeerLostError: the same call goes on from what was saved.
      FloatingPointError: a training diverged.
    """
    own = tf_config.read()
    is_chief = own is None or own.is_chief
    is_training = _is_training(names)
    if "evaluate" in names:
        kinds.check_kind(path, workdir.RESULTS, owner="one run")
    holds, is_guest = is_chief and is_training, given is not None
    with start.begun(config, path, holds=holds, is_guest=is_guest) as begun:
        if is_chief:
            begun.claim()
        told = _run_what_is_left(begun, names, own, given, options, waits)
    if names[-1] in ("evaluate", "report"):
        return _outcome(path) if is_chief else ""
    return told


def _outcome(path: epath.Path) -> str:
    # Loads NumPy.
    from trainer import report

    return report.outcome(path)


def _run_what_is_left(
    begun: start.Start,
    names: tuple[str, ...],
    own: tf_config.Cluster | None,
    given: "Given | None",
    options: Mapping[str, str],
    waits: bool,
) -> str:
    whole = names == WHOLE_RUN
    if whole and workdir.is_finished(begun.path, begun.config):
        if given and given.data:
            # The same settings may come with other examples.
            with begun.session("data", None, is_counted=False, given=given) as session:
                session.datasets.open()
        return ""
    if whole and own and workdir.is_evaluated(begun.path, begun.config):
        # Other workers may have ended already, and the chief alone draws.
        whole, names = False, ("report",)
    is_training = _is_training(names)
    if own and not is_training:
        if not own.is_chief:
            return ""
        own = None
    with begun.session(
        " ".join(names), own, is_counted=is_training, given=given
    ) as session:
        names = () if whole else names
        return stages.run(session, names, whole=whole, options=options, waits=waits)


def _is_training(names: tuple[str, ...]) -> bool:
    """Whether later starts go on from what one of the stages writes."""
    return any(stages.ALL[name].is_training for name in names)
