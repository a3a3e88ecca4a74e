"""The paths of many files, of which their lists hold the letters. M = files."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.data.file_bytes import in_folder
from trainer.data.texts import Texts


@dataclasses.dataclass(frozen=True, eq=False)
class FilePaths:
    """Paths as files are opened by."""

    roots: tuple[str, ...]  # folders
    root_of: np.ndarray  # uint8 [M]: the folder that each lies in
    names: Texts  # in the folder, or whole paths

    @classmethod
    def of(cls, root: str, names: Texts) -> "FilePaths":
        """The paths of files in a folder."""
        return cls((root,), np.zeros(len(names), np.uint8), names)

    @classmethod
    def concatenate(cls, parts: Sequence["FilePaths"]) -> "FilePaths":
        """Some paths after others."""
        before = np.cumsum([0, *(len(part.roots) for part in parts)])
        root_of = [
            part.root_of + np.uint8(count)
            for part, count in zip(parts, before, strict=False)
        ]
        return cls(
            tuple(root for part in parts for root in part.roots),
            np.concatenate(root_of),
            Texts.concatenate([part.names for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> str:
        return in_folder(self.roots[self.root_of[row]], self.names[row])

    def __iter__(self) -> Iterator[str]:
        pairs = zip(self.root_of.tolist(), self.names, strict=True)
        return (in_folder(self.roots[root], name) for root, name in pairs)

    def take(self, rows: np.ndarray) -> "FilePaths":
        """Some of the paths."""
        return FilePaths(self.roots, self.root_of[rows], self.names.take(rows))
