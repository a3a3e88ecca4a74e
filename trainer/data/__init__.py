"""Examples in memory, and the batches made of them."""

from trainer.data.augment import Augment, augmentation
from trainer.data.examples import DataError, Examples, without_labels
from trainer.data.pipeline import (
    Batch,
    Batches,
    evaluation_batches,
    training_batches,
)
from trainer.data.source import Source, open_source, read_split

__all__ = [
    "Augment",
    "Batch",
    "Batches",
    "DataError",
    "Examples",
    "Source",
    "augmentation",
    "evaluation_batches",
    "open_source",
    "read_split",
    "training_batches",
    "without_labels",
]
