"""The error of a report, and the way out of one that is about a file."""

from etils import epath

from trainer.storage.workdir import CONFIG, METRICS


class ReportError(ValueError):
    """An input of the report is missing or malformed; says which and what to run."""


def of_file(path: epath.Path, problem: str) -> ReportError:
    """The error about a file of a run, with the stage that writes it anew."""
    # Each file is written anew where it is missing, by the stage that owns it.
    stage = "run" if path.name in (CONFIG, METRICS) else "evaluate"
    return ReportError(
        f"{path}: {problem}; delete it if it is there, and run "
        f"`python -m trainer {stage} --config=... --workdir=...`"
    )
