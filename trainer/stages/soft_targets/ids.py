"""The list of examples on which a teacher that is elsewhere has to give answers."""

import csv
import sys
from collections.abc import Mapping
from typing import TextIO

from trainer import console, data
from trainer.config import ConfigError
from trainer.session import Session
from trainer.stages.soft_targets.answered_parts import AnsweredPart, answered_parts
from trainer.storage import files

_HEADER = ("part", "id", "file")


def ids(session: Session, output: str = "") -> None:
    """Writes a line of CSV for each example: its part, its id and its file, if any.

    Raises:
      ConfigError: `output` is of another kind, or a part is of several whole splits.
      StorageError: it cannot be written.
    """
    if output and not output.endswith(".csv"):
        raise ConfigError(
            f"soft-targets ids FILE must end in .csv, got {output!r}; rename it, or "
            "leave it out to have the list printed"
        )
    parts = answered_parts(session)
    if not output:
        _write(sys.stdout, parts)
        return
    path = files.path_of(output, setting="soft-targets ids FILE")
    with (
        files.atomic_path(path, hint="choose another file") as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        _write(file, parts)
    count = sum(len(part.needed) for part in parts.values())
    console.log(f"{path}: {count:,} examples")


def _write(file: TextIO, parts: Mapping[str, AnsweredPart]) -> None:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_HEADER)
    for name, part in parts.items():
        paths = data.example_names(part.transfer.source, part.transfer.split)
        for number in part.needed.tolist():
            table.writerow([name, number, "" if paths is None else paths[number]])
