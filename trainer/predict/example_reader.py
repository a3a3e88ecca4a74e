"""Examples of files, as a model takes them, or the reasons why there are none."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

# The path of a file, and the number of a row in it; none of a whole file.
Place = tuple[str] | tuple[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """An example as a model takes it."""

    place: Place
    inputs: np.ndarray | str  # or why there are none
    is_transparent: bool = False  # some of an image, which lies on the background


class Reader(Protocol):
    """Reads the examples of a kind from files."""

    @property
    def unit(self) -> str:
        """The noun of one."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the parts of a place."""

    @property
    def extensions(self) -> tuple[str, ...]:
        """The endings of the files that are found in folders."""

    def is_one(self, name: str) -> bool:
        """Whether a file is found in a folder."""

    def batches(
        self, paths: Sequence[str], *, batch_size: int
    ) -> Iterator[list[Example]]:
        """The examples of the files, in the order of the paths."""
