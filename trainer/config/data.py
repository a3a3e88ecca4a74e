"""The data section: which examples, and which views of them."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from trainer.config.rules import FILLED, Count, OptionsOf, at_least


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoAugmentOptions:
    """Images are used as stored."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftOptions:
    """Images move by whole pixels, drawn anew for each example and epoch."""

    max_pixels: Count = 2  # largest shift along each axis; the border fills with 0


AUGMENTATIONS: Mapping[str, type] = {"none": NoAugmentOptions, "shift": ShiftOptions}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which examples train, select and test."""

    # A TFDS name, the bundled "mnist_mini", or files: "folder:", "csv:" or "npz:" and
    # a path.
    dataset: Annotated[str, FILLED]
    data_dir: str = ""  # where TFDS keeps prepared data; "": its own choice
    train_split: Annotated[str, FILLED] = "train[:90%]"  # TFDS split syntax
    validation_split: Annotated[str, FILLED] = "train[90%:]"  # selects; never trains
    test_split: Annotated[str, FILLED] = "test"  # read once, at the end
    image_size: Annotated[int, at_least(0)] = 0  # pixels a side; 0: as stored
    augment: str = "none"
    augment_options: Annotated[Any, OptionsOf("augment", AUGMENTATIONS)] = (
        NoAugmentOptions()
    )
    exclude_labels: tuple[
        Annotated[int, at_least(0)], ...
    ] = ()  # not shown to students
    skip_corrupt: bool = False  # leave damaged images out of a folder's examples
    label_column: Annotated[str, FILLED] = "label"  # of a table
    feature_columns: tuple[str, ...] = ()  # of a table, in this order; (): all others
    # Decoded images of all splits together; above it they are decoded when asked for.
    memory_budget_bytes: Annotated[int, at_least(0)] = 4 * 2**30

    @property
    def is_folder(self) -> bool:
        """Whether the examples are image files."""
        return self.dataset.startswith("folder:")

    @property
    def is_table(self) -> bool:
        """Whether the examples are rows of numbers."""
        return self.dataset.startswith(("csv:", "npz:"))
