"""Results of a cross-validation: a table for the terminal and for the page."""

from collections.abc import Iterator
from typing import Any

from etils import epath

from trainer.report import amounts, data_table, table
from trainer.report.problems import ReportError
from trainer.report.section import Section
from trainer.storage import seal
from trainer.storage.workdir import CROSSVAL_RESULTS

# (metric, column, factor, digits after the point)
_METRICS = (
    ("examples", "examples", 1, 1),
    ("errors", "errors", 1, 1),
    ("accuracy", "accuracy %", 100, 2),
    ("agreement", "agreement %", 100, 2),
    ("teacher_accuracy", "teacher accuracy %", 100, 2),
)
_NOTE = (
    "Each student was measured on the fold that it did not learn from. "
    "mean +- standard deviation over folds"
)

Rows = list[tuple[str, ...]]


def read(workdir: epath.Path) -> dict[str, Any]:
    """The `crossval.json` of a workdir.

    Raises:
      ReportError: it is missing or malformed.
    """
    path = workdir / CROSSVAL_RESULTS
    try:
        results = seal.parse(path.read_bytes())
        rows(results)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ReportError(
            f"{path} must hold the folds of a cross-validation, got something else "
            f"({error!r}); delete it if it is there, and run `python -m trainer "
            "crossval --config=... --workdir=...`"
        ) from error
    return results


def rows(results: dict[str, Any]) -> Rows:
    """A header, a row for each fold, and one of their means."""
    header = ("fold", *(column for _, column, _, _ in _METRICS))
    folds = [_row(str(fold["fold"]), fold, {}) for fold in results["folds"]]
    return [header, *folds, _row("mean", results["mean"], results["std"])]


def render(results: dict[str, Any]) -> str:
    """The same as aligned ASCII text; no final newline."""
    return "\n".join([*table.align(rows(results)), _NOTE])


def sections(workdir: epath.Path) -> Iterator[Section]:
    """The section of a page on a cross-validation; none where there was none.

    Raises:
      ReportError: `crossval.json` is malformed.
    """
    if (workdir / CROSSVAL_RESULTS).exists():
        header, *body = rows(read(workdir))
        content = data_table.table(header, body)
        yield Section(
            name="crossval",
            title="Cross-validation",
            part="table",
            content=content,
            note=_NOTE,
        )


def _row(name: str, mean: dict[str, Any], std: dict[str, Any]) -> tuple[str, ...]:
    cells = (
        amounts.value(mean[metric], std.get(metric), factor=factor, digits=digits)
        for metric, _, factor, digits in _METRICS
    )
    return (name, *cells)
