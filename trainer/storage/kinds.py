"""The kinds of workdirs: of one run, or of a study, a sweep or a watch of many."""

from etils import epath

from trainer.config import ConfigError
from trainer.storage import files
from trainer.storage.workdir import CELLS, RESULTS, STUDY, SWEEP, WATCH

# By the file that tells of it.
KINDS = {
    RESULTS: "the results of one run",
    STUDY: "a study",
    SWEEP: "a sweep",
    WATCH: "a watch",
}


def check_kind(workdir: epath.Path, own: str, *, owner: str) -> None:
    """Finds nothing there but what the file `own` of KINDS tells of, its `owner`'s.

    Raises:
      ConfigError: it holds something else.
    """
    if what := _other(workdir, own):
        raise ConfigError(
            f"--workdir must be {owner}'s own, got {workdir}, which holds {what}; "
            "choose another --workdir"
        )


def check_one_run(workdir: epath.Path) -> None:
    """Refuses the workdir of many runs to a command that takes what one has kept.

    Raises:
      ConfigError: it is one.
    """
    if what := _other(workdir, RESULTS):
        raise ConfigError(
            f"--workdir must be of one run, got {workdir}, which holds {what}; name "
            f"one of the runs in {workdir / CELLS}"
        )


def check_own_seeds(workdir: epath.Path) -> None:
    """Refuses seeds of its own to one of many runs, which go on with theirs alone.

    Raises:
      ConfigError: it is one.
    """
    # The working directory may be that of the run.
    run = workdir if files.is_remote(workdir) else workdir.resolve()
    cells, whole = run.parent, run.parent.parent
    if cells.name == CELLS and (what := _other(whole, RESULTS)):
        raise ConfigError(
            f"seeds must be those of the whole for one of many runs, got {workdir}, of "
            f"which {whole} holds {what}; set them with the command of that"
        )


def _other(workdir: epath.Path, own: str) -> str:
    """The kind of what is there beside the file `own`; "" where nothing is."""
    names = files.names_in(workdir)
    return next((KINDS[name] for name in KINDS if name != own and name in names), "")
