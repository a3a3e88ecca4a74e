"""Contents of files that are kept in memory, encoded as they are. M = examples."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer.data.host_memory import on_host


@dataclasses.dataclass(frozen=True, eq=False)
class HeldFiles:
    """The contents of the files of examples; sets that are joined share theirs."""

    parts: tuple[tf.Tensor, ...]  # string [N] each, on the host
    part_of: np.ndarray  # uint8 [M]: the part that each file is in
    places: np.ndarray  # int64 [M]: and where in it

    @classmethod
    def of(cls, contents: Sequence[bytes]) -> "HeldFiles":
        """Files in their order."""
        count = len(contents)
        held = on_host(np.array(contents, object))
        return cls((held,), np.zeros(count, np.uint8), np.arange(count))

    @classmethod
    def concatenate(cls, several: Sequence["HeldFiles"]) -> "HeldFiles":
        """Some files after others, whose contents are not copied."""
        before = np.cumsum([0, *(len(held.parts) for held in several)])
        return cls(
            tuple(part for held in several for part in held.parts),
            np.concatenate(
                [
                    held.part_of + np.uint8(first)
                    for held, first in zip(several, before, strict=False)
                ]
            ),
            np.concatenate([held.places for held in several]),
        )

    def __getitem__(self, row: int) -> bytes:
        contents: bytes = self.parts[self.part_of[row]][self.places[row]].numpy()
        return contents

    def take(self, kept: np.ndarray) -> "HeldFiles":
        """Some of the files, by their rows, or where bool [M] is true."""
        return HeldFiles(self.parts, self.part_of[kept], self.places[kept])

    def reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function from a row, int64 [], to the contents of its file."""
        part_of, places = on_host(self.part_of), on_host(self.places)

        def read(row: tf.Tensor) -> tf.Tensor:
            place = tf.gather(places, row)
            of_parts = [functools.partial(tf.gather, x, place) for x in self.parts]
            if len(of_parts) == 1:
                return of_parts[0]()
            return tf.switch_case(tf.cast(tf.gather(part_of, row), tf.int32), of_parts)

        return read
