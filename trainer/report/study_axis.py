"""The axis of a study's chart, and the cells that differ along it alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.config import value_text
from trainer.report.study_table import Cell, Study, labels


def numeric_axis(grid: Mapping[str, Sequence[Any]]) -> str | None:
    """The setting with the most values that are numbers, two or more; or none."""
    numeric = [
        setting
        for setting, values in grid.items()
        if len(values) > 1 and all(type(value) in (int, float) for value in values)
    ]
    return max(numeric, key=lambda setting: len(grid[setting]), default=None)


def groups(study: Study, cells: Sequence[Cell], axis: str) -> dict[str, list[Cell]]:
    """The cells that differ along `axis` alone, by what they have in common."""
    names = labels(study)
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        others = [
            f"{names[setting]} {value_text(value)}"
            for setting, value in cell["settings"].items()
            if setting != axis
        ]
        groups.setdefault(", ".join(others), []).append(cell)
    return groups
