"""The cells of a study side by side, as rows for any page and as terminal text."""

from typing import Any

from etils import epath

from trainer.config import ConfigError, StudyConfig, value_text
from trainer.report.amounts import value
from trainer.report.inputs import display_name
from trainer.report.problems import ReportError
from trainer.storage import seal
from trainer.storage.workdir import STUDY

STATUSES = ("finished", "diverged", "waiting")

Study = dict[str, Any]  # what study.json holds
Cell = dict[str, Any]  # one of its cells

_FIRST = ("teacher", "member", "student")  # of the columns; others as results have them


def read_study(workdir: epath.Path) -> Study:
    """The checked `study.json` of a workdir.

    Raises:
      ReportError: it is missing or does not hold what a table needs.
    """
    path = workdir / STUDY
    try:
        study = seal.parse(path.read_bytes())
        _check(study)
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _error(path, f"is malformed ({error!r})") from error
    return dict(study)


def labels(study: Study) -> dict[str, str]:
    """A short name for each setting of the grid."""
    grid = {setting: tuple(values) for setting, values in study["grid"].items()}
    return StudyConfig(grid=grid).labels


def roles(study: Study) -> list[str]:
    """The models that any cell has, the teacher's first."""
    found = dict.fromkeys(role for cell in study["cells"] for role in cell["models"])
    return sorted(found, key=lambda role: (*_FIRST, role).index(role))


def header(study: Study) -> tuple[str, ...]:
    """The columns: settings, test errors of the models, gain, agreement."""
    errors = (title for title, _, _ in _errors(study))
    return (*labels(study).values(), *errors, "gain", "agreement %")


def row(study: Study, cell: Cell) -> tuple[str, ...]:
    """The cells of the table for a cell of the study; `-` where there is no value."""
    settings = [value_text(cell["settings"][setting]) for setting in study["grid"]]
    if cell["status"] != "finished":
        num_empty = len(header(study)) - len(settings) - 1
        return (*settings, cell["status"], *["-"] * num_empty)
    errors = [_value(cell, role, metric) for _, role, metric in _errors(study)]
    return (*settings, *errors, _gain(cell), _agreement(cell))


def note(study: Study) -> str:
    """Explains the numbers of the table."""
    seeds = [m["seeds"] for cell in study["cells"] for m in cell["models"].values()]
    over = (
        ": mean +- standard deviation over seeds" if max(seeds, default=1) > 1 else ""
    )
    error = ", +- its standard error" if over else ""
    parts = [
        f"test errors{over}",
        f"gain: baseline's errors minus student's{error}",
        "agreement of student and teacher",
    ]
    if any(metric == "excluded_errors" for _, _, metric in _errors(study)):
        parts.insert(1, "excluded: those on data.exclude_labels")
    return "; ".join(parts)


def render_study(study: Study) -> str:
    """The table as aligned ASCII text; no final newline."""
    lines = [header(study), *(row(study, cell) for cell in study["cells"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*text, note(study)])


def _errors(study: Study) -> list[tuple[str, str, str]]:
    """The columns of errors: title, role and metric.

    Those on classes that students are not shown come last, where there are any.
    """
    columns = [(display_name(role), role, "errors") for role in roles(study)]
    for role in roles(study):
        means = [cell["models"].get(role, {}).get("mean") for cell in study["cells"]]
        is_taught = role not in ("teacher", "member")
        if is_taught and any(mean and "excluded_errors" in mean for mean in means):
            columns.append((f"{display_name(role)}: excluded", role, "excluded_errors"))
    return columns


def _value(cell: Cell, role: str, metric: str) -> str:
    model = cell["models"].get(role)
    if model is None:
        return "-"
    return value(model["mean"].get(metric), model["std"].get(metric), digits=1)


def _gain(cell: Cell) -> str:
    if not cell["gain"]:
        return "-"
    gain = cell["gain"]["errors"]
    return value(gain["mean"], gain.get("standard_error"), digits=1)


def _agreement(cell: Cell) -> str:
    student = cell["models"].get("student")
    if student is None:
        return "-"
    mean, spread = (student[kind].get("agreement") for kind in ("mean", "std"))
    return value(mean, spread, factor=100, digits=2)


def _check(study: Study) -> None:
    """Raises KeyError, TypeError, ValueError or AttributeError for a malformed one."""
    try:
        labels(study)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    for cell in study["cells"]:
        if cell["status"] not in STATUSES:
            raise ValueError(f"status {cell['status']!r}")
        row({**study, "cells": [cell]}, cell)


def _error(path: epath.Path, problem: str) -> ReportError:
    return ReportError(
        f"{path}: {problem}; delete it if it is there, and run "
        "`python -m trainer study --config=... --workdir=...`"
    )
