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
from trainer.data.examples import DataError, Examples
from trainer.data.file_list import ListedFile
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
            contents=_numbers(_digests(source, split, lines)),
            labels=np.array([classes.get(line.class_name, -1) for line in lines], int),
            name=lambda row: lines[row].path,
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
        contents=_numbers([hashlib.sha256(row).digest() for row in rows]),
        labels=examples.labels,
        name=lambda row: f"example {ids[row]} of {split}",
    )


def _digests(source: FolderSource, split: str, lines: list[ListedFile]) -> list[bytes]:
    try:
        return [bytes.fromhex(line.sha256) for line in lines]
    except ValueError as error:
        names = ", ".join(f"{name}.jsonl" for name in source.listed)
        raise DataError(
            f"the lists of {source.data.dataset!r} ({names}) must have a SHA-256 of "
            f"each file of {split!r}, got something else ({error}); put them back, or "
            "choose another --workdir, which lists the folder anew"
        ) from error


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


def _numbers(digests: Sequence[bytes]) -> np.ndarray:
    joined = b"".join(digest[:_BYTES] for digest in digests)
    return np.frombuffer(joined, np.uint64)
