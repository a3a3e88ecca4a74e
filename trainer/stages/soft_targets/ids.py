"""The list of examples on which a teacher that is elsewhere has to give answers."""

import csv
import sys
from collections.abc import Iterator
from typing import TextIO

import numpy as np

from trainer import console, data
from trainer.config import ConfigError
from trainer.session import Session
from trainer.session.transfer_sets import TransferSet, evaluation_set, transfer_sets
from trainer.stages.soft_targets.collecting import needed_ids
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
            f"--output must end in .csv for soft-targets ids, got {output!r}; rename "
            "it, or leave it out to have the list printed"
        )
    every = list(_sets(session))
    if not output:
        _write(sys.stdout, every)
        return
    path = files.path_of(output, setting="--output")
    with (
        files.atomic_path(path, hint="choose another --output") as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        _write(file, every)
    count = sum(len(numbers) for _, numbers in every)
    console.log(f"{path}: {count:,} examples")


def _sets(session: Session) -> Iterator[tuple[TransferSet, np.ndarray]]:
    """Each set of examples, and those of its ids that need an answer."""
    config, datasets = session.config, session.datasets
    for transfer in transfer_sets(config, datasets):
        yield transfer, needed_ids(transfer, datasets, config)
    for part, examples in (
        ("validation", datasets.validation),
        ("test", datasets.read(config.data.test_split)),
    ):
        transfer = evaluation_set(datasets, part, examples)
        yield transfer, transfer.used


def _write(file: TextIO, every: list[tuple[TransferSet, np.ndarray]]) -> None:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_HEADER)
    for transfer, numbers in every:
        names = data.example_names(transfer.source, transfer.split)
        for number in numbers.tolist():
            name = "" if names is None else names[number]
            table.writerow([transfer.name, number, name])
