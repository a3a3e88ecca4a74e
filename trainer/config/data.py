"""The data section: which examples, and which views of them."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from trainer.config import class_folders, places
from trainer.config.augmentations import AUGMENTATIONS, NO_AUGMENT, Augment
from trainer.config.class_weights import ClassWeights
from trainer.config.datasets import DATASETS, NO_OPTIONS
from trainer.config.evaluate_view import SHARE, EvaluateView
from trainer.config.rules import (
    FILLED,
    MOST_THREADS,
    Count,
    CountOrNone,
    OptionsOf,
    Pixels,
    Place,
    Rule,
    between,
)

Colour = tuple[int, int, int]  # red, green and blue, 0 to 255

IGNORE = "ignore"
COLOURS: Mapping[str, Colour] = {"white": (255, 255, 255), "black": (0, 0, 0)}

# As settings have it.
GivenColour = Annotated[
    tuple[Annotated[int, between(0, 255)], ...],
    Rule(
        lambda value: len(value) == 3,
        "a list [red, green, blue] of 0 to 255",
        {"minItems": 3, "maxItems": 3},
    ),
]


def colour_of(background: Any) -> Colour | None:
    """The colour that a setting, or its name, says; None for "ignore"."""
    if background == IGNORE:
        return None
    if isinstance(background, str) and background in COLOURS:
        return COLOURS[background]
    numbers = json.loads(background) if isinstance(background, str) else background
    red, green, blue = numbers
    return red, green, blue


def background_name(colour: Colour | None) -> str:
    """One name for each: "ignore", "white" or "[1, 2, 3]"."""
    names = {value: name for name, value in COLOURS.items()}
    return IGNORE if colour is None else names.get(colour, str(list(colour)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnlabeledConfig:
    """Images without labels, which are added to the students' training images."""

    # The images: a TFDS name, or "folder:" and a path.
    dataset: Annotated[Place, FILLED]
    # The part of them, in TFDS's split syntax; labels are not read.
    split: Annotated[str, FILLED] = "train"


# The splits where none is set.
SPLITS: Mapping[str, str] = {
    "train_split": "train[:90%]",
    "validation_split": "train[90%:]",
    "test_split": "test",
}
# And where there is one part alone: the images of a folder are not in splits, or a
# list, a pattern or an object names no other.
SPLITS_OF_CLASS_FOLDERS: Mapping[str, str] = {
    "train_split": "train[:80%]",
    "validation_split": "train[80%:90%]",
    "test_split": "train[90%:]",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The examples that train, select and test, and how they are shown."""

    # A TFDS name, the bundled "mnist_mini", "folder:", "list:", "csv:", "npz:", "tfds:"
    # or "tfrecord:" and a path, or package.module:function, which gives
    # trainer.data.GivenData; "memory:" is what a Python session gave.
    dataset: Annotated[Place, FILLED]
    # The keyword arguments of the function, or the features of "tfrecord:".
    options: Annotated[
        Any,
        OptionsOf(
            *("dataset", DATASETS),
            own=True,
            kind=places.kind_of,
            patterns=places.PATTERNS_OF_OPTIONS,
        ),
    ] = NO_OPTIONS
    data_dir: Place = ""  # where TFDS keeps prepared data; "": its own choice
    # What teachers learn from, and students and baselines where transfer_split does
    # not say otherwise, in TFDS's split syntax; "": train[:90%].
    train_split: Annotated[str, FILLED] = ""
    # What students and baselines learn from; "": data.train_split.
    transfer_split: str = ""
    # What selects the best step, and never trains; "": train[90%:].
    validation_split: Annotated[str, FILLED] = ""
    test_split: Annotated[str, FILLED] = ""  # what is read once, at the end; "": test
    image_size: Pixels = 0  # what images are resized to; 0: as stored
    # The augmentation of training images, or a list of several in their order.
    augment: Augment = "none"
    # The options of the augmentation, or of each in the list.
    augment_options: Annotated[Any, OptionsOf("augment", AUGMENTATIONS)] = NO_AUGMENT
    # The numbers of classes that students are not shown.
    exclude_labels: tuple[CountOrNone, ...] = ()
    # How much each class counts in the loss on the labels: "balanced", or a table of
    # numbers by the names of the classes, whose mean over data.train_split becomes 1.
    class_weights: ClassWeights | None = None
    # The colour behind transparent pixels; "ignore" drops alpha.
    background: Literal["white", "black", "ignore"] | GivenColour = "white"
    # Leaves damaged images out of a folder's examples.
    skip_corrupt: bool = False
    # The column of a table that holds the classes.
    label_column: Annotated[str, FILLED] = "label"
    # The columns of a table that are features, in this order; []: all others.
    feature_columns: tuple[str, ...] = ()
    unlabeled: UnlabeledConfig | None = None
    # The most memory for the decoded images of all splits and of `unlabeled` together.
    # A larger dataset is streamed: its images are read again in each epoch.
    memory_budget_bytes: Annotated[int, between(0, 2**60)] = 4 * 2**30
    # The size of the shuffle buffer of a streamed dataset, in records.
    shuffle_window: Count = 8192
    # The number of parts in which a streamed dataset is read, each for its own
    # positions of a batch, so that each of several workers reads its own; 0: up to 8
    # parts, of at least 4 files each.
    read_parts: CountOrNone = 0
    # How images are resized in evaluation, and in training without a random crop:
    # "squash" resizes the whole image, "center_crop" its central square.
    evaluate_view: Literal["squash", "center_crop"] = "squash"
    # The side of the central square, as a share of the image's shorter side.
    center_crop: Annotated[float, SHARE] = EvaluateView.center_crop
    # What of images is in memory: fitted ones, or the bytes of their files, of which
    # crops are made.
    # "auto": files where a training begins with a random crop, or pixels do not fit.
    keep: Literal["auto", "pixels", "files"] = "auto"
    # Threads that decode images; 0: as many as there are processors that the process
    # may use.
    num_threads: Annotated[int, between(0, MOST_THREADS)] = 0
    # How files are looked at when they are listed: decoded, or their first and last
    # bytes. "auto": decoded where a split has up to a GiB of them.
    verify: Literal["auto", "decode", "ends"] = "auto"
    # The most memory for the shuffle buffer, by the mean size of a record.
    shuffle_window_bytes: Annotated[int, between(1, 2**60)] = 512 * 2**20

    def __post_init__(self) -> None:
        """Names the splits that are not set."""
        given = (self.train_split, self.validation_split, self.test_split)
        splits = SPLITS
        if not any(given) and self._is_one_part:
            splits = SPLITS_OF_CLASS_FOLDERS
        for name, split in splits.items():
            object.__setattr__(self, name, getattr(self, name) or split)

    @property
    def _is_one_part(self) -> bool:
        if self.kind == "folder":
            return class_folders.are_in(self.path)
        is_pattern = self.kind == "tfrecord" and places.SPLIT not in self.dataset
        return self.kind == "list" or is_pattern or self.is_given

    @property
    def kind(self) -> str:
        """The kind of the dataset: its prefix, "function", or "name" of one of TFDS."""
        return places.kind_of(self.dataset)

    @property
    def background_colour(self) -> Colour | None:
        """The colour behind transparent pixels; None where alpha is dropped."""
        return colour_of(self.background)

    @property
    def background_name(self) -> str:
        """The name of that colour, one for all ways to write it."""
        return background_name(self.background_colour)

    @property
    def is_folder(self) -> bool:
        """Whether the examples are image files."""
        return self.kind in ("folder", "list")

    @property
    def is_fitted(self) -> bool:
        """Whether images are brought to a size, if only those without labels."""
        joined = places.kind_of(self.unlabeled.dataset) if self.unlabeled else ""
        return bool(self.image_size) or joined in ("folder", "list")

    @property
    def is_decoded_to_size(self) -> bool:
        """Whether they are encoded images, of any size."""
        return self.is_fitted and not self.is_given

    @property
    def view(self) -> EvaluateView:
        """The part of an image that is shown where no random crop is drawn."""
        return EvaluateView(name=self.evaluate_view, center_crop=self.center_crop)

    @property
    def is_given(self) -> bool:
        """Whether the examples are of Python objects: GivenData."""
        return self.kind in ("memory", "function")

    @property
    def path(self) -> str:
        """The file or folder that the dataset is kept in; of a list its folder."""
        path = self.dataset.partition(":")[2].rstrip("/")
        return (os.path.dirname(path) or ".") if self.kind == "list" else path

    @property
    def is_table(self) -> bool:
        """Whether the examples are rows of numbers."""
        return self.dataset.startswith(places.TABLES)

    @property
    def setting(self) -> str:
        """The name of the setting of the dataset, for messages."""
        return "data.dataset"

    @property
    def splits(self) -> dict[str, str]:
        """The splits that train, select and test, by the settings that name them."""
        names = ["train_split", "validation_split", "test_split"]
        if self.transfer_split:
            names.insert(1, "transfer_split")
        return {f"data.{name}": getattr(self, name) for name in names}

    @property
    def learned_from(self) -> str:
        """The setting of those of the splits that students learn from."""
        return "data.transfer_split" if self.transfer_split else "data.train_split"

    def may_overlap(self, setting: str, other: str) -> bool:
        """Whether the splits of two settings may hold the same example."""
        return {setting, other} == {"data.train_split", "data.transfer_split"}

    @property
    def is_labeled(self) -> bool:
        """Whether the examples are read with their labels."""
        return True


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnlabeledData(DataConfig):
    """The section as it reads data.unlabeled: one split, and no labels."""

    unlabeled: UnlabeledConfig

    @property
    def setting(self) -> str:
        """The name of the setting of the dataset, for messages."""
        return "data.unlabeled.dataset"

    @property
    def splits(self) -> dict[str, str]:
        """The only split, by the setting that says it."""
        return {"data.unlabeled.split": self.unlabeled.split}

    @property
    def learned_from(self) -> str:
        """The setting of the only split."""
        return "data.unlabeled.split"

    @property
    def is_labeled(self) -> bool:
        """Whether the examples are read with their labels."""
        return False
