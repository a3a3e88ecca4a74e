"""The same example in two splits, or under two labels, found by content.

Files of folders are compared by the checksums of their lists, examples in memory as
they are there. Sets that are streamed from records are left out: they would be read
whole. M = examples of a split.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from trainer.config import DataConfig
from trainer.data.arrays import ArrayExamples
from trainer.data.examples import Examples
from trainer.data.folder import FolderSource
from trainer.data.source import Source
from trainer.data.tfds_source import TfdsSource

_BYTES = 8  # of a checksum, with which a billion examples hardly have a pair by chance

Read = Callable[[Source, str], Examples]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Part:
    """The examples of a split by their contents."""

    data: DataConfig
    setting: str
    split: str
    contents: np.ndarray  # uint64 [M]
    labels: np.ndarray  # int [M], -1 without
    name: Callable[[int], str]  # of a row

    @property
    def text(self) -> str:
        return f"{self.setting} {self.split!r}"


def duplicates(sources: Sequence[Source], read: Read | None = None) -> str:
    """One line on how many there are, with an example of each kind; "" without any.

    Without a way to `read` examples only what lists tell is looked at.
    """
    parts = [
        part
        for source in sources
        for setting, split in source.data.splits.items()
        if (part := _part(source, setting, split, read))
    ]
    told = [*_in_two_splits(parts), *_under_two_labels(parts)]
    return f"duplicates by content: {'; '.join(told)}" if told else ""


def _part(source: Source, setting: str, split: str, read: Read | None) -> _Part | None:
    if isinstance(source, FolderSource):
        lines = source.lines(split)
        classes = {name: label for label, name in enumerate(source.class_names)}
        return _Part(
            data=source.data,
            setting=setting,
            split=split,
            contents=_numbers(lines.sha256),
            labels=np.array([classes.get(name, -1) for name in lines.classes], int),
            name=lambda row: lines.paths[row],
        )
    if read is None or (isinstance(source, TfdsSource) and source.is_streamed):
        return None
    examples = read(source, split)
    if not isinstance(examples, ArrayExamples):
        return None
    ids = examples.ids
    rows = np.ascontiguousarray(examples.inputs)
    return _Part(
        data=source.data,
        setting=setting,
        split=split,
        contents=_numbers(_digests(rows)),
        labels=examples.labels,
        name=lambda row: f"example {ids[row]} of {split}",
    )


def _in_two_splits(parts: Sequence[_Part]) -> list[str]:
    told = []
    for part, other in itertools.combinations(parts, 2):
        if part.data.may_overlap(part.setting, other.setting):
            continue
        both = np.flatnonzero(np.isin(other.contents, part.contents))
        if len(both):
            same = np.flatnonzero(part.contents == other.contents[both[0]])[0]
            told.append(
                f"{len(both):,} of {other.text} are in {part.text} too "
                f"({other.name(both[0])} is {part.name(same)})"
            )
    return told


def _under_two_labels(parts: Sequence[_Part]) -> list[str]:
    if not parts:
        return []
    contents = np.concatenate([part.contents for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    starts = np.cumsum([0, *(len(part.labels) for part in parts)])
    rows = np.flatnonzero(labels >= 0)
    rows = rows[np.lexsort((labels[rows], contents[rows]))]
    ordered, of_them = contents[rows], labels[rows]
    differ = (ordered[1:] == ordered[:-1]) & (of_them[1:] != of_them[:-1])
    places = np.flatnonzero(differ)
    if not len(places):
        return []

    def name(row: int) -> str:
        index = int(np.searchsorted(starts, row, side="right")) - 1
        return parts[index].name(row - int(starts[index]))

    first, second = (name(rows[places[0] + i]) for i in (0, 1))
    count = len(np.unique(ordered[places]))
    return [f"{count:,} under two labels ({first} and {second})"]


def _digests(rows: np.ndarray) -> np.ndarray:
    """SHA-256 of each row: uint8 [M, 32]."""
    joined = b"".join(hashlib.sha256(row).digest() for row in rows)
    return np.frombuffer(joined, np.uint8).reshape(len(rows), -1)


def _numbers(digests: np.ndarray) -> np.ndarray:
    """The beginnings of checksums: uint8 [M, 32] -> uint64 [M]."""
    return np.ascontiguousarray(digests[:, :_BYTES]).view(np.uint64)[:, 0]
