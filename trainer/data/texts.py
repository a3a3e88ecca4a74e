"""Columns of text, in a few arrays in place of an object a row. M = rows."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from trainer.data.host_memory import empty


@dataclasses.dataclass(frozen=True, eq=False)
class Texts:
    """Texts that all differ, such as paths."""

    letters: np.ndarray  # uint8: all in UTF-8, one after another
    first: np.ndarray  # int64 [M]: where each begins
    length: np.ndarray  # int32 [M], in bytes

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Texts":
        """The column of some texts.

        Raises:
          UnicodeEncodeError: one cannot be written in UTF-8.
        """
        encoded = [text.encode() for text in texts]
        length = np.fromiter(map(len, encoded), np.int32, len(encoded))
        letters = np.frombuffer(b"".join(encoded), np.uint8)
        return cls(letters, np.cumsum(length, dtype=np.int64) - length, length)

    @classmethod
    def concatenate(cls, columns: Sequence["Texts"]) -> "Texts":
        """One column after another."""
        sizes = [len(column.letters) for column in columns]
        letters = empty((sum(sizes),), np.uint8)
        np.concatenate([column.letters for column in columns], out=letters)
        places = np.cumsum([0, *sizes])
        first = [x.first + place for x, place in zip(columns, places, strict=False)]
        length = [column.length for column in columns]
        return cls(letters, np.concatenate(first), np.concatenate(length))

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, row: int) -> str:
        first = self.first[row]
        return str(self.letters[first : first + self.length[row]].tobytes(), "utf-8")

    def __iter__(self) -> Iterator[str]:
        letters = memoryview(np.ascontiguousarray(self.letters).data)
        places = zip(self.first.tolist(), self.length.tolist(), strict=True)
        return (str(letters[first : first + n], "utf-8") for first, n in places)

    def take(self, rows: np.ndarray | slice) -> "Texts":
        """Some of the rows; the letters are shared."""
        return Texts(self.letters, self.first[rows], self.length[rows])


@dataclasses.dataclass(frozen=True, eq=False)
class Categories:
    """Texts of which there are few, such as the classes of many files."""

    names: tuple[str, ...]  # the different texts
    codes: np.ndarray  # int32 [M]: a place in `names`

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Categories":
        """The column of some texts."""
        names = tuple(dict.fromkeys(texts))
        places = dict(zip(names, range(len(names)), strict=True))
        codes = np.fromiter(map(places.__getitem__, texts), np.int32, len(texts))
        return cls(names, codes)

    @classmethod
    def concatenate(cls, columns: Sequence["Categories"]) -> "Categories":
        """One column after another."""
        places: dict[str, int] = {}
        codes = [np.zeros(0, np.int32)]
        for column in columns:
            now = [places.setdefault(name, len(places)) for name in column.names]
            codes.append(np.array(now, np.int32)[column.codes])
        return cls(tuple(places), np.concatenate(codes))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str:
        return self.names[int(self.codes[row])]

    def __iter__(self) -> Iterator[str]:
        return map(self.names.__getitem__, self.codes.tolist())

    @property
    def used(self) -> set[str]:
        """The texts that there are."""
        return {self.names[code] for code in np.unique(self.codes)}

    def take(self, rows: np.ndarray | slice) -> "Categories":
        """Some of the rows."""
        return Categories(self.names, self.codes[rows])

    def where(self, holds: Callable[[str], bool]) -> np.ndarray:
        """Tells of each row's text whether something `holds`: bool [M]."""
        found: np.ndarray = np.array([holds(name) for name in self.names], bool)
        held: np.ndarray = found[self.codes]
        return held

    def equals(self, text: str) -> np.ndarray:
        """Tells which rows are that text: bool [M]."""
        return self.where(lambda name: name == text)

    def replace(self, rows: np.ndarray, texts: Sequence[str]) -> "Categories":
        """The column with other texts in some rows."""
        now = Categories.concatenate([self, Categories.of(texts)])
        codes = now.codes[: len(self)].copy()
        codes[rows] = now.codes[len(self) :]
        return Categories(now.names, codes)
