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

    dataset: Annotated[str, FILLED]  # a TFDS name, or the bundled "mnist_mini"
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
    # Decoded images of all splits together; larger record sets are read as needed.
    memory_budget_bytes: Annotated[int, at_least(0)] = 4 * 2**30
    shuffle_window: Count = 8192  # raw records in memory, where they are read as needed
