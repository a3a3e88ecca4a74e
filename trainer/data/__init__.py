"""Datasets, and the batches made of them."""

from trainer.config.class_folders import EXTENSIONS, is_image, is_visible
from trainer.data.arrays import ArrayExamples
from trainer.data.augment import Augment, augmentation
from trainer.data.auxiliary import AuxiliaryFeatures, Views
from trainer.data.begun import as_begun, begun_background, begun_dtype
from trainer.data.box_decoder import BoxDecoder
from trainer.data.contents import hold_contents
from trainer.data.damage import without_kinds
from trainer.data.decode import decode_with_alpha, reason
from trainer.data.duplicates import duplicates
from trainer.data.example_names import example_names
from trainer.data.examples import (
    Batch,
    DataError,
    Examples,
    InputShard,
    is_passing,
    num_evaluation_steps,
    without_labels,
)
from trainer.data.given import GivenData
from trainer.data.image_box import evaluation_box
from trainer.data.image_files import FileExamples
from trainer.data.incremental_index import (
    admit_files,
    check_taken_over,
    extend_lists,
    take_over,
)
from trainer.data.listed_files import EXAMPLE, GONE, OVERWRITTEN
from trainer.data.new_files import find_new_files
from trainer.data.pipeline import (
    Batches,
    evaluation_batches,
    pipeline_options,
    training_batches,
)
from trainer.data.pixel_version import has_changed, pixel_version
from trainer.data.readers import num_readers
from trainer.data.reading import damage_of_rows, damage_of_steps, reading
from trainer.data.records import RecordExamples
from trainer.data.signature import Signature
from trainer.data.source import Source, open_source
from trainer.data.splits import whole_names
from trainer.data.streaming import Streaming, streaming, unused_settings
from trainer.data.table_rows import ROW_FILES, is_row_file, read_rows
from trainer.data.tables import feature_names
from trainer.data.transparency import read_background
from trainer.data.unlabeled import UNLABELED_FROM, concatenate, open_sources, parts
from trainer.data.view_batches import view_batches

__all__ = [
    "EXAMPLE",
    "EXTENSIONS",
    "GONE",
    "OVERWRITTEN",
    "ROW_FILES",
    "UNLABELED_FROM",
    "ArrayExamples",
    "Augment",
    "AuxiliaryFeatures",
    "Batch",
    "Batches",
    "BoxDecoder",
    "DataError",
    "Examples",
    "FileExamples",
    "GivenData",
    "InputShard",
    "RecordExamples",
    "Signature",
    "Source",
    "Streaming",
    "Views",
    "admit_files",
    "as_begun",
    "augmentation",
    "begun_background",
    "begun_dtype",
    "check_taken_over",
    "concatenate",
    "damage_of_rows",
    "damage_of_steps",
    "decode_with_alpha",
    "duplicates",
    "evaluation_batches",
    "evaluation_box",
    "example_names",
    "extend_lists",
    "feature_names",
    "find_new_files",
    "has_changed",
    "hold_contents",
    "is_image",
    "is_passing",
    "is_row_file",
    "is_visible",
    "num_evaluation_steps",
    "num_readers",
    "open_source",
    "open_sources",
    "parts",
    "pipeline_options",
    "pixel_version",
    "read_background",
    "read_rows",
    "reading",
    "reason",
    "streaming",
    "take_over",
    "training_batches",
    "unused_settings",
    "view_batches",
    "whole_names",
    "without_kinds",
    "without_labels",
]
