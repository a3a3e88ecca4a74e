"""Rows of tables from files, as a model takes them. F = features."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from trainer import data
from trainer.predict.example_reader import Example


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowReader:
    """Reads rows, many a file; see trainer.predict.example_reader.Reader."""

    columns: tuple[str, ...]  # the features, in the order that the model has them
    dtype: str  # of what the model takes

    unit, keys, extensions = "row", ("path", "row"), data.ROW_FILES
    is_one = staticmethod(data.is_row_file)

    def batches(
        self, paths: Sequence[str], *, batch_size: int
    ) -> Iterator[list[Example]]:
        """The rows of each file, [F], in its order, counted from 0.

        In memory is one file at a time.
        """
        rows = itertools.chain.from_iterable(map(self._read, paths))
        while batch := list(itertools.islice(rows, batch_size)):
            yield batch

    def _read(self, path: str) -> Iterator[Example]:
        try:
            for i, row in enumerate(data.read_rows(path, self.columns)):
                yield Example(place=(path, i), inputs=self._fit(row))
        except data.DataError as error:
            yield Example(place=(path,), inputs=str(error))

    def _fit(self, row: np.ndarray | str) -> np.ndarray | str:
        if isinstance(row, str):
            return row
        with np.errstate(over="ignore"):
            fitted = row.astype(self.dtype)
        for i in np.flatnonzero(~np.isfinite(fitted))[:1].tolist():
            return f"column {self.columns[i]!r}, must fit {self.dtype}, got {row[i]:g}"
        return fitted
