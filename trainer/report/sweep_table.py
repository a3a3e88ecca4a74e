"""The trials of a sweep side by side, as rows for any page and as terminal text."""

from typing import Any

from etils import epath

from trainer.config import label_of, value_text
from trainer.report.problems import ReportError
from trainer.report.table import align
from trainer.storage import seal
from trainer.storage.workdir import SWEEP

STATUSES = (
    *("complete", "pruned", "diverged", "refused", "failed"),
    *("running", "waiting"),
)

Sweep = dict[str, Any]  # what sweep.json holds
Trial = dict[str, Any]  # one of its trials


def read_sweep(workdir: epath.Path) -> Sweep:
    """The checked `sweep.json` of a workdir.

    Raises:
      ReportError: it is missing or does not hold what a table needs.
    """
    path = workdir / SWEEP
    try:
        sweep = seal.parse(path.read_bytes())
        render_sweep(sweep)
        if not isinstance(sweep["study"], str) or "importance" not in sweep:
            raise ValueError("no study")
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _error(path, f"is malformed ({error!r})") from error
    return sweep


def labels(sweep: Sweep) -> dict[str, str]:
    """A short name for each setting of the space."""
    paths = list(sweep["space"])
    return {path: label_of(path, paths) for path in paths}


def header(sweep: Sweep) -> tuple[str, ...]:
    """The columns: the number, the settings, the metric and what became of it."""
    return ("trial", *labels(sweep).values(), sweep["metric"], "status")


def row(sweep: Sweep, trial: Trial) -> tuple[str, ...]:
    """The cells of the table for a trial; `-` where there is no value."""
    settings = [text_of(trial["settings"].get(path)) for path in sweep["space"]]
    status = trial["status"]
    if status == "pruned" and trial["reported"]:
        status += f" at step {max(map(int, trial['reported']))}"
    if trial["repeats"] is not None:
        status += f", repeats {trial['repeats']}"
    return (str(trial["number"]), *settings, text_of(trial["value"]), status)


def counts(sweep: Sweep) -> str:
    """Counts the trials by their state, as "18 complete, 2 pruned"."""
    found = [trial["status"] for trial in sweep["trials"]]
    return ", ".join(
        f"{found.count(status)} {status}" for status in STATUSES if status in found
    )


def best_line(sweep: Sweep) -> str:
    """One line on the best trial so far."""
    if not sweep["best"]:
        return "no trial is complete yet"
    best, names = sweep["best"], labels(sweep)
    settings = [f"{names[path]} {text_of(best['settings'][path])}" for path in names]
    return (
        f"best: trial {best['number']} with {', '.join(settings)}: "
        f"{sweep['metric']} = {text_of(best['value'])}"
    )


def render_sweep(sweep: Sweep) -> str:
    """The table as aligned ASCII text; no final newline."""
    rows = [header(sweep), *(row(sweep, trial) for trial in sweep["trials"])]
    return "\n".join([*align(rows), counts(sweep), best_line(sweep)])


def text_of(value: Any) -> str:
    """A value as people read it: of a float the first digits, `-` for none."""
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else value_text(value)


def _error(path: epath.Path, problem: str) -> ReportError:
    return ReportError(
        f"{path}: {problem}; bring it back, or choose another --workdir and run "
        "`python -m trainer sweep --config=... --workdir=...`"
    )
