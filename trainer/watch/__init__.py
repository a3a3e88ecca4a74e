"""Students that follow the images that come: `python -m trainer watch`.

A batch of new images is a variant in the workdir: a run whose student learns from all
images so far, with the teacher and the soft targets of those before. `arrival_runs` and
`inbox` load TensorFlow; the rest does without.
"""

from etils import epath

from trainer import console, report
from trainer.cluster import tf_config
from trainer.config import Config, ConfigError
from trainer.runs import start
from trainer.storage import files, kinds, locks, workdir
from trainer.watch import arrivals

_LOCK = "watch.lock"


def run(settings: Config, path: epath.Path, *, is_once: bool) -> None:
    """Begins a batch whenever there are enough new images; `is_once` looks once.

    Raises:
      ConfigError: the config has no [watch], the workdir holds something else, or
        another process watches there.
      DataError: the labelled images cannot be used.
      BudgetSpentError: too many starts of a batch in a row were for nothing.
    """
    _check(settings, path)
    if settings.distill.soft_targets == "auto":
        # So that the teacher predicts new images alone.
        settings = settings.with_soft_targets("cached")
    lock = locks.try_lock(path / _LOCK)
    if lock is None:
        if is_once:
            console.log(f"another process watches in {path}; nothing is done")
            return
        raise ConfigError(
            f"--workdir must have one watcher at a time, got another one in {path}; "
            "wait for it, or choose another --workdir"
        )
    with lock, start.begun(settings, path, holds=True) as begun:
        workdir.claim(path, settings)
        arrivals.write(path, arrivals.read(path))
        with begun.session("watch", None, is_counted=False) as session:
            # Loads TensorFlow.
            from trainer.watch import arrival_runs

            arrival_runs.run(session, is_once=is_once)


def redraw(path: epath.Path) -> None:
    """Writes the page of the watch in the workdir `path` anew."""
    if report.is_drawable():
        report.write_watch(path)
    else:
        report.tell_undrawn()


def outcome(path: epath.Path) -> str:
    """One line on each batch in the workdir `path`, and where the page is."""
    page = path / workdir.REPORT
    lines = [arrivals.render(arrivals.read(path))]
    return "\n".join([*lines, f"report: {page}"] if files.exists(page) else lines)


def refuse_cluster(own: tf_config.Cluster | None) -> None:
    """One process watches; it may have many GPUs.

    Raises:
      ClusterError: the process is one of several workers.
    """
    if own:
        raise tf_config.ClusterError(
            "watch must run outside of a cluster, since one process looks for images, "
            f"got TF_CONFIG with {own.size} workers; start it without TF_CONFIG"
        )


def _check(settings: Config, path: epath.Path) -> None:
    if not settings.watch:
        raise ConfigError(
            "watch must have a section [watch] in the file of --config, got none; add "
            "one, such as [watch] and min_new = 100"
        )
    if files.is_remote(path):
        raise ConfigError(
            f"--workdir must be on a disk for watch, got {path}, where two watchers "
            "cannot keep apart; choose a folder on a disk, which machines may share"
        )
    if settings.distill.soft_targets == "online":
        raise ConfigError(
            "[watch] needs distill.soft_targets = 'cached', got 'online'; set it, so "
            "that the teacher predicts new images alone"
        )
    kinds.check_kind(path, workdir.WATCH, owner="a watcher")


__all__ = ["outcome", "redraw", "refuse_cluster", "run"]
