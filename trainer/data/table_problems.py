"""The mistakes in a table, all told at once and not one a run."""

import collections
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from trainer.config import DataConfig
from trainer.data.class_names import is_fraction, is_number
from trainer.data.examples import DataError

_SHOWN, _SHOWN_CELLS = 20, 5  # rules, and cells that break the same one, in a message
_SHOWN_CHARACTERS = 40  # of a cell
_FEWEST_ROWS = 10  # whose labels tell anything
# Fewer may well be numbered by what they are, such as the steps of a scale.
_FEWEST_COUNTED = 100
_MOST_GRADES = 20  # numbers that are classes though few rows have each


class Problems:
    """The mistakes in a file's columns and cells, by the rule that they break."""

    def __init__(self) -> None:
        self._shown: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
        self._counts: collections.Counter[str] = collections.Counter()

    def add(self, rule: str, got: str, where: str = "") -> None:
        """Notes what breaks a rule, such as "column 'a', must ...", and where."""
        self._counts[rule] += 1
        if self._counts[rule] <= _SHOWN_CELLS:
            self._shown[rule].append((got, where))

    def __bool__(self) -> bool:
        return bool(self._counts)

    def sentences(self, path: str) -> list[str]:
        """A sentence for each rule that the file at `path` breaks."""
        return [f"{path}, {self._sentence(rule)}" for rule in self._counts]

    def _sentence(self, rule: str) -> str:
        (got, where), *others = self._shown[rule]
        place = f"{where}, " if where else ""
        more = [f"{got} in {where}" for got, where in others]
        hidden = self._counts[rule] - _SHOWN_CELLS
        also = f", also {', '.join(more)}" if more else ""
        return f"{place}{rule}, got {got}{also}" + (
            f" and {hidden} more" if hidden > 0 else ""
        )


def refusal(sentences: Sequence[str]) -> DataError:
    """Tells all that is wrong with the files of a table."""
    hidden = len(sentences) - _SHOWN
    more = f"; and {hidden} more" if hidden > 0 else ""
    return DataError(
        f"{'; '.join(sentences[:_SHOWN])}{more}; mend or remove what is wrong, or name "
        "others in data.label_column, and all that are features in data.feature_columns"
    )


def show_cell(cell: object) -> str:
    """A cell for a message."""
    text = str(cell)
    if not text.strip():
        return "an empty cell"
    long = len(text) > _SHOWN_CHARACTERS
    return repr(f"{text[:_SHOWN_CHARACTERS]}..." if long else text)


def check_numbers(
    problems: Problems,
    features: Mapping[str, np.ndarray],
    *,
    place: Callable[[int], str],
    may_count: bool,
) -> None:
    """Notes features, [M] each, that are not finite, or just count the rows.

    `place` names a row for messages; a column that was asked for `may_count` them.
    """
    for column, values in features.items():
        for row in np.flatnonzero(~np.isfinite(values)).tolist():
            problems.add(number_rule(column), show_cell(values[row]), place(row))
        if not may_count and counts_rows(values):
            problems.add(
                f"column {column!r}, must be a feature",
                f"{len(values)} numbers from {values.min():.10g} to "
                f"{values.max():.10g}, each once, which number the rows",
            )


def number_rule(column: str) -> str:
    """The rule of a cell of a feature."""
    return f"column {column!r}, must be a finite number"


def counts_rows(values: np.ndarray) -> bool:
    """Whether a column just numbers the rows, in any order: [M]."""
    count = len(values)
    if count < _FEWEST_COUNTED or not np.isfinite(values).all():
        return False
    steps = np.diff(values)
    if steps[0] and (steps == steps[0]).all():
        return True
    # Or ids of the rows in any order, of which some were left out.
    are_whole = (values == np.floor(values)).all()
    if not are_whole or values.max() - values.min() >= 2 * count:
        return False
    return len(np.unique(values)) == count


def label_problems(labels: Sequence[str], data: DataConfig) -> list[str]:
    """A sentence on labels of all rows that are no classes."""
    values = set(labels) - {""}
    are_numbers = all(map(is_number, values))
    fractions = [value for value in values if is_fraction(value)] if are_numbers else []
    many = 2 * len(values) > len(labels)
    if are_numbers and len(values) > _MOST_GRADES:
        many = 3 * len(values) > len(labels)
    if len(labels) < _FEWEST_ROWS or not (fractions or many):
        return []
    kind = "numbers" if are_numbers else "texts"
    likely = "a regression" if are_numbers else "names of the rows"
    example = f", such as {min(fractions)}" if fractions else ""
    return [
        f"data.label_column {data.label_column!r} of {data.dataset!r} must hold "
        f"classes, which rows share and which are no fractions, got {len(values)} "
        f"{kind} in {len(labels)} rows{example}: this looks like {likely}"
    ]
