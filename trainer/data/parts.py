"""Parts of a dataset, such as its train, that are read. M = examples of a part."""

import dataclasses
from typing import Protocol

import numpy as np

from trainer.data.given_form import Form
from trainer.data.host_memory import empty
from trainer.data.record_files import RecordFiles


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A part that is read."""

    contents: str  # what a run keeps of it, to know it again
    compared: str  # how much of it that tells; "" for all
    label_counts: np.ndarray  # int64: the examples of each class
    value_range: tuple[float, float]

    def __len__(self) -> int:
        return int(self.label_counts.sum())


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ArrayPart(Part):
    """A part in memory."""

    inputs: np.ndarray  # [M, ...]
    labels: np.ndarray  # int32 [M]
    where = "in memory"

    def as_type(self, dtype: np.dtype) -> "ArrayPart":
        """The same with inputs of another type."""
        if self.inputs.dtype == dtype:
            return self
        inputs = empty(self.inputs.shape, dtype)
        inputs[:] = self.inputs
        return dataclasses.replace(self, inputs=inputs)


class FilesOf(Protocol):
    """A function to the record files of a part, as they are streamed."""

    def __call__(self, form: Form, num_classes: int) -> RecordFiles:
        """The files of examples in a form, of so many classes."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RecordPart(Part):
    """A part in record files."""

    where: str  # batches are made from
    files: FilesOf


def text_of_contents(count: int, form: Form, sha256: str, compared: str) -> str:
    """The summary of a part that a run keeps."""
    shape = " x ".join(map(str, form.shape))
    told = f" ({compared})" if compared else ""
    return f"{count} examples of {form.dtype} {shape}, SHA-256 {sha256}{told}"
