"""Predictions as CSV, lines of JSON or one JSON list. M = examples, C = classes."""

import csv
import json
import re
from collections.abc import Sequence
from typing import Any, Literal, TextIO

import numpy as np

from trainer.config import ConfigError, PredictConfig
from trainer.predict.example_reader import Place

Format = Literal["csv", "jsonl", "json"]

_DIGITS = 9  # as many as float32 logits are worth

# Text that a spreadsheet computes, also after spaces, in quotes or in wide characters.
_FORMULA = re.compile(r"[\s\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?[0-9]+\.?[0-9]*")


class PredictionWriter:
    """Writes for each example where it is, its classes, how probable they are."""

    def __init__(
        self,
        file: TextIO,
        class_names: Sequence[str],
        section: PredictConfig,
        *,
        keys: Sequence[str],
        format: Format,
    ) -> None:
        """Begins the table in `file`; `keys` name the parts of a place.

        CSV has a header. JSON is whole after `end`.
        """
        self._file = file
        self._class_names = class_names
        self._section = section
        self._keys = keys
        # Texts in quotes, so that no comma, quote, line break or number in one counts.
        self._csv = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        self._format = format
        self._between = "["  # of the list
        if format == "csv":
            self._write_row(self._header())

    def write(self, places: Sequence[Place], probs: np.ndarray) -> None:
        """Adds a line for each of the places [M] and its probabilities [M, C]."""
        # The first of equals, which the metrics of a run count as predicted too.
        ranking = np.argsort(-probs, axis=1, kind="stable")[:, : self._section.top_k]
        for place, row, labels in zip(places, probs, ranking, strict=True):
            top = [(self._class_names[i], _round(row[i])) for i in labels]
            every = [_round(value) for value in row]
            if self._format == "csv":
                ranked = [cell for pair in top for cell in pair]
                more = every if self._section.all_probabilities else []
                self._write_row([*place, *ranked, *more])
            else:
                self._write_json(self._fields(place, top, every))
        self._file.flush()

    def end(self) -> None:
        """Ends the table: nothing follows."""
        if self._format == "json":
            self._file.write("[]\n" if self._between == "[" else "\n]\n")
            self._file.flush()

    def _write_json(self, fields: dict[str, Any]) -> None:
        text = json.dumps(fields, ensure_ascii=False)
        if self._format == "json":
            self._file.write(f"{self._between}\n  {text}")
            self._between = ","
        else:
            self._file.write(f"{text}\n")

    def _write_row(self, cells: Sequence[str | float]) -> None:
        texts = (_as_text(cell) if isinstance(cell, str) else cell for cell in cells)
        self._csv.writerow(texts)

    def _header(self) -> list[str]:
        ranks = ["", *(f"_{k}" for k in range(2, self._section.top_k + 1))]
        ranked = [f"{name}{k}" for k in ranks for name in ("class", "probability")]
        if not self._section.all_probabilities:
            return [*self._keys, *ranked]
        every = (f"probability of {x}" for x in self._class_names)
        return [*self._keys, *ranked, *every]

    def _fields(
        self, place: Place, top: Sequence[tuple[str, float]], every: Sequence[float]
    ) -> dict[str, Any]:
        name, probability = top[0]
        fields: dict[str, Any] = {
            **dict(zip(self._keys, place, strict=True)),
            "class": name,
            "probability": probability,
        }
        if self._section.top_k > 1:
            fields["top"] = [{"class": x, "probability": p} for x, p in top]
        if self._section.all_probabilities:
            named = zip(self._class_names, every, strict=True)
            fields["probabilities"] = dict(named)
        return fields


def check(section: PredictConfig, class_names: Sequence[str]) -> None:
    """Refuses more classes than there are.

    Raises:
      ConfigError: predict.top_k is above their number.
    """
    if section.top_k > len(class_names):
        raise ConfigError(
            f"predict.top_k must be at most the {len(class_names)} classes of the "
            f"model, got {section.top_k}; lower it"
        )


def _as_text(cell: str) -> str:
    """A text that no spreadsheet takes for a formula: it has a ' before it then."""
    is_formula = _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def _round(probability: float) -> float:
    return float(f"{probability:.{_DIGITS}g}")
