"""Datasets, and the batches made of them."""

from trainer.data.arrays import ArrayExamples
from trainer.data.augment import Augment, augmentation
from trainer.data.examples import Batch, DataError, Examples, without_labels
from trainer.data.image_files import FileExamples
from trainer.data.pipeline import (
    Batches,
    evaluation_batches,
    reading,
    training_batches,
)
from trainer.data.source import Source, open_source
from trainer.data.unlabeled import UNLABELED_FROM, joined, open_sources

__all__ = [
    "UNLABELED_FROM",
    "ArrayExamples",
    "Augment",
    "Batch",
    "Batches",
    "DataError",
    "Examples",
    "FileExamples",
    "Source",
    "augmentation",
    "evaluation_batches",
    "joined",
    "open_source",
    "open_sources",
    "reading",
    "training_batches",
    "without_labels",
]
