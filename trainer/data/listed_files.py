"""Listed files in columns, which take a fifth of the memory of an object each.

M = files.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from trainer.data.texts import Categories, Texts

# The states of a file that can be trained on, of one that was there once, of one that
# has another content than the one that was listed and predicted, and of one that cannot
# be decoded and says why.
EXAMPLE = "example"
GONE = "gone"
OVERWRITTEN = "overwritten with another content since it was listed"
DAMAGED = "damaged: "

# Stands for the background of an image that has no transparent pixels.
OPAQUE = "opaque"

_DIGEST_BYTES = 32
_NO_TIME = np.iinfo(np.int64).min
_BLOCK = 4096  # rows that become objects at a time


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ListedFile:
    """A line of the list."""

    path: str  # relative to the dataset's folder, with / between its parts
    num_bytes: int
    sha256: str
    class_name: str  # "" in a folder without classes
    state: str  # EXAMPLE, or what keeps it from being one
    # The time of its last change, by the clock of its disk or store; None in a list of
    # an earlier version.
    changed_nsec: int | None = None
    # OPAQUE, or what its transparent pixels lie on, as data.background_name has it;
    # "" in a list of an earlier version, where it is not known whether it has any.
    background: str
    # In pixels, as decoded; 0 in a list of an earlier version, and of a damaged file.
    height: int = 0
    width: int = 0
    is_decoded: bool = True  # or only its header and its end were looked at

    @property
    def is_damaged(self) -> bool:
        """Whether it is no image that can be decoded."""
        return self.state.startswith(DAMAGED)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ListedFiles:
    """The lines of a list, a field of ListedFile a column."""

    paths: Texts
    num_bytes: np.ndarray  # int64 [M]
    sha256: np.ndarray  # uint8 [M, 32]
    classes: Categories
    states: Categories
    backgrounds: Categories
    changed_nsec: np.ndarray  # int64 [M], the smallest of which stands for None
    sizes: np.ndarray  # int32 [M, 2]: height and width
    are_decoded: np.ndarray  # bool [M]

    @classmethod
    def of(cls, lines: Iterable[ListedFile]) -> "ListedFiles":
        """The columns of some lines.

        Raises:
          ValueError: a checksum or a path is none.
        """
        names = [field.name for field in dataclasses.fields(ListedFile)]
        rows = [[getattr(line, name) for name in names] for line in lines]
        values = zip(*rows, strict=True) if rows else ([] for _ in names)
        columns = dict(zip(names, values, strict=True))
        return cls.of_columns(
            **{name: list(column) for name, column in columns.items()}
        )

    @classmethod
    def of_columns(
        cls,
        *,
        path: Sequence[str],
        num_bytes: Sequence[int],
        sha256: Sequence[str],
        class_name: Sequence[str],
        state: Sequence[str],
        changed_nsec: Sequence[int | None],
        background: Sequence[str],
        height: Sequence[int],
        width: Sequence[int],
        is_decoded: Sequence[bool],
    ) -> "ListedFiles":
        """The columns of ListedFile's fields.

        Raises:
          ValueError: a checksum or a path is none.
        """
        if set(map(len, sha256)) - {2 * _DIGEST_BYTES}:
            raise ValueError("a SHA-256 of another length than 64 digits")
        digests = np.frombuffer(bytes.fromhex("".join(sha256)), np.uint8)
        times = [_NO_TIME if time is None else time for time in changed_nsec]
        return cls(
            paths=Texts.of(path),
            num_bytes=np.array(num_bytes, np.int64),
            sha256=digests.reshape(-1, _DIGEST_BYTES),
            classes=Categories.of(class_name),
            states=Categories.of(state),
            backgrounds=Categories.of(background),
            changed_nsec=np.array(times, np.int64),
            sizes=np.array([height, width], np.int32).T,
            are_decoded=np.array(is_decoded, bool),
        )

    @classmethod
    def concatenate(cls, parts: Sequence["ListedFiles"]) -> "ListedFiles":
        """One list after another; of one the arrays are shared."""
        if len(parts) == 1:
            return parts[0]
        columns: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            values = [getattr(part, field.name) for part in parts or [cls.of(())]]
            join = getattr(type(values[0]), "concatenate", np.concatenate)
            columns[field.name] = join(values)
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.num_bytes)

    def __getitem__(self, row: int) -> ListedFile:
        place = range(len(self))[row]
        return next(iter(self.take(slice(place, place + 1))))

    def __iter__(self) -> Iterator[ListedFile]:
        starts = range(0, len(self), _BLOCK)
        blocks = (self.take(slice(i, i + _BLOCK)) for i in starts)
        return itertools.chain.from_iterable(map(_lines, blocks))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ListedFiles):
            return NotImplemented
        pairs = zip(self, other, strict=False)
        return len(self) == len(other) and all(a == b for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    @property
    def are_examples(self) -> np.ndarray:
        """The lines of files that can be trained on: bool [M]."""
        return self.states.equals(EXAMPLE)

    @property
    def are_damaged(self) -> np.ndarray:
        """The lines of files that are no images, or cannot be decoded: bool [M]."""
        return self.states.where(lambda state: state.startswith(DAMAGED))

    @property
    def have_times(self) -> np.ndarray:
        """The lines that tell when their files were changed: bool [M]."""
        known: np.ndarray = self.changed_nsec != _NO_TIME
        return known

    @property
    def class_names(self) -> set[str]:
        """The classes of the files."""
        return self.classes.used - {""}

    def take(self, rows: np.ndarray | slice) -> "ListedFiles":
        """Some of the lines."""
        columns: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            column = getattr(self, field.name)
            is_array = isinstance(column, np.ndarray)
            columns[field.name] = column[rows] if is_array else column.take(rows)
        return ListedFiles(**columns)

    def with_states(self, rows: np.ndarray, states: Sequence[str]) -> "ListedFiles":
        """The list with other states of some lines."""
        return dataclasses.replace(self, states=self.states.replace(rows, states))


def _lines(block: ListedFiles) -> list[ListedFile]:
    times = [None if x == _NO_TIME else x for x in block.changed_nsec.tolist()]
    digests = [digest.tobytes().hex() for digest in block.sha256]
    columns = (
        block.paths,
        block.num_bytes.tolist(),
        digests,
        block.classes,
        block.states,
        times,
        block.backgrounds,
        *block.sizes.T.tolist(),
        block.are_decoded.tolist(),
    )
    names = [field.name for field in dataclasses.fields(ListedFile)]
    return [
        ListedFile(**dict(zip(names, row, strict=True)))
        for row in zip(*columns, strict=True)
    ]
