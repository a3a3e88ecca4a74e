"""Checks of the data section against itself and the trainings."""

import itertools
import re
from collections.abc import Mapping

from trainer.config import places
from trainer.config.augmentations import (
    CROPS,
    Augment,
    RandomErasingOptions,
    names,
    text,
    with_options,
)
from trainer.config.data import DataConfig
from trainer.config.datasets import TfrecordOptions
from trainer.config.errors import ConfigError, gathering
from trainer.config.evaluate_view import CENTER_CROP, SQUASH
from trainer.config.relations import check_unique
from trainer.config.training import TrainConfig

_MOST_PARTS = 100  # of a split
_IMAGES = ("name", "tfds", "folder", "list")  # kinds that others may join
_CHANNELS = ((), (1,), (3,))
# Kinds whose records are streamed where they exceed the memory budget.
_STREAMED = ("name", "tfds", "tfrecord", "memory", "function")


def check(data: DataConfig, trainings: Mapping[str, TrainConfig]) -> None:
    """Refuses a data section that contradicts itself, or a training section."""
    with gathering() as gather:
        gather(check_unique, "data.exclude_labels", data.exclude_labels)
        gather(_check_splits, data)
        gather(_check_name, data)
        gather(_check_size, data)
        if data.unlabeled:
            gather(_check_unlabeled, data, data.unlabeled.dataset)
        gather(_check_files, data)
        gather(_check_reading, data)
        gather(_check_fitted, data)
        gather(_check_columns, data)
        if data.is_table:
            gather(_check_table, data, trainings)
        if isinstance(data.options, TfrecordOptions):
            gather(_check_features, data, data.options)
        for path, section in _augmenting(data, trainings).items():
            gather(_check_augment, f"{path}.augment", section.augment)
            gather(_check_erasing, path, section)


def _augmenting(
    data: DataConfig, trainings: Mapping[str, TrainConfig]
) -> Mapping[str, DataConfig | TrainConfig]:
    """The sections that say how images are augmented, by their names."""
    return {"data": data, **trainings}


def _check_augment(path: str, augment: Augment) -> None:
    """Refuses lists of augmentations of which one makes another useless."""
    chosen = names(augment)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ConfigError(
            f"{path} must name one augmentation or more, each once, got "
            f"{text(augment)}; for example 'none', or "
            f"{text(tuple(dict.fromkeys(chosen)) or CROPS[:1])}"
        )
    for name in ("none", "inherit"):
        if name in chosen and augment != name:
            raise ConfigError(
                f"{path} must have {name!r} by itself alone, got {text(augment)}; "
                f"write {path} = {name!r}, or remove it from the list"
            )
    for name in chosen[1:]:
        if name in CROPS:
            raise ConfigError(
                f"{path} must have at most one of {', '.join(CROPS)}, in the first "
                f"place, got {text(augment)}; move or remove {name!r}"
            )


def _check_erasing(path: str, section: DataConfig | TrainConfig) -> None:
    """Refuses rectangles whose largest area is below the smallest."""
    setting = f"{path}.augment_options"
    for _, options, place in with_options(
        section.augment, section.augment_options, setting=setting
    ):
        if isinstance(options, RandomErasingOptions) and (
            options.max_area < options.min_area
        ):
            raise ConfigError(
                f"{place}.max_area must be at least {place}.min_area = "
                f"{options.min_area}, got {options.max_area}; raise it, or lower the "
                "other"
            )


def _check_splits(data: DataConfig) -> None:
    """Refuses one split in two roles, and what is none or of too many parts."""
    named = dict(data.splits)
    if data.unlabeled:
        named["data.unlabeled.split"] = data.unlabeled.split
    with gathering() as gather:
        for name, split in named.items():
            gather(_check_split, name, split)
        for first, second in itertools.combinations(data.splits, 2):
            gather(_check_apart, data, first, second)


def _check_split(name: str, split: str) -> None:
    if re.fullmatch(r"[\d.]+ *%?", split):
        raise ConfigError(
            f"{name} must say of which split it is a part, got {split!r}; write "
            "'train[:80%]' for the first 80 %, or 'train[90%:]' for the last 10 %"
        )
    num_parts = split.count("+") + 1
    if num_parts > _MOST_PARTS:
        raise ConfigError(
            f"{name} must have at most {_MOST_PARTS} parts, got {num_parts}; "
            "join those that follow each other"
        )


def _check_apart(data: DataConfig, other: str, name: str) -> None:
    split = data.splits[name]
    if split == data.splits[other] and not data.may_overlap(name, other):
        raise ConfigError(
            f"{name} must differ from {other}, got {split!r} in both"
            "; carve them, as in 'train[:90%]' and 'train[90%:]'"
        )


def _check_name(data: DataConfig) -> None:
    """Refuses a path where the name of a set is wanted."""
    name = data.dataset
    if data.kind == "name" and places.is_like_path(name):
        found = places.dataset_of(name)
        ending = name.rpartition(".")[2]
        kind = ending if ending in ("csv", "npz") else "folder"
        way = (
            f"write {found!r}"
            if found != name
            else (f"write '{kind}:{name}' ({places.path_hint(name)})")
        )
        raise ConfigError(
            f"data.dataset must be a TensorFlow Datasets name, or begin with the kind "
            f"of a path, got {name!r}; {way}"
        )


def _check_size(data: DataConfig) -> None:
    """Refuses images of any size for networks that take one."""
    if data.is_folder and not data.image_size:
        raise ConfigError(
            f"data.image_size must be set for {data.dataset!r}, whose images may have "
            "any size; for example data.image_size = 96"
        )


def _check_columns(data: DataConfig) -> None:
    """Refuses columns of what has none."""
    if data.feature_columns and not data.is_table:
        raise ConfigError(
            f"data.feature_columns must be empty for {data.dataset!r}, got "
            f"{list(data.feature_columns)}; only a table has columns"
        )


def _check_files(data: DataConfig) -> None:
    """Refuses settings of image files where there are none."""
    sets = [data.dataset, data.unlabeled.dataset if data.unlabeled else ""]
    if any(name.startswith((places.FOLDER, places.LIST)) for name in sets):
        return
    if data.skip_corrupt:
        raise ConfigError(
            f"data.skip_corrupt must be false for {data.dataset!r}, got true; it "
            "leaves damaged files out of a 'folder:PATH' or a 'list:FILE.csv'"
        )
    if data.verify != "auto":
        raise ConfigError(
            f"data.verify must be 'auto' for {data.dataset!r}, got {data.verify!r}; "
            "it is of the files of a 'folder:PATH' or a 'list:FILE.csv'"
        )


def _check_reading(data: DataConfig) -> None:
    """Refuses settings of a way of reading that this dataset never has."""
    records = (
        "it is of record files that are streamed, which no folder, list or table is, "
        "and no set that data.unlabeled joins"
    )
    is_streamed = data.kind in _STREAMED and data.unlabeled is None
    for name, has_effect, what in (
        ("num_threads", not data.is_table, "no images are decoded"),
        ("read_parts", is_streamed, records),
        ("shuffle_window_bytes", is_streamed, records),
    ):
        value, default = getattr(data, name), getattr(DataConfig, name)
        if value != default and not has_effect:
            raise ConfigError(
                f"data.{name} must be {default} for {data.dataset!r}, got {value}; "
                f"{what}: remove it"
            )


def _check_fitted(data: DataConfig) -> None:
    """Refuses settings of how images get their size where they keep their own."""
    if data.evaluate_view == SQUASH and data.center_crop != DataConfig.center_crop:
        raise ConfigError(
            f"data.center_crop must be {DataConfig.center_crop} for data.evaluate_view "
            f"= {SQUASH!r}, which shows all of an image, got {data.center_crop}; set "
            f"data.evaluate_view = {CENTER_CROP!r}"
        )
    if data.is_fitted:
        return
    for name, default in {"evaluate_view": SQUASH, "keep": "auto"}.items():
        value = getattr(data, name)
        if value != default:
            way = "remove it" if data.is_table else "set data.image_size"
            raise ConfigError(
                f"data.{name} must be {default!r} for {data.dataset!r}, whose examples "
                f"are not brought to another size, got {value!r}; {way}"
            )


def _check_unlabeled(data: DataConfig, unlabeled: str) -> None:
    if data.kind not in _IMAGES:
        what = "the table " if data.is_table else ""
        raise ConfigError(
            f"[data.unlabeled] must be absent for {what}{data.dataset!r}, got "
            f"{unlabeled!r}; only images in files, and of TensorFlow Datasets, are "
            "joined by images without labels"
        )
    if places.kind_of(unlabeled) not in _IMAGES:
        table = "the table " if unlabeled.startswith(places.TABLES) else ""
        raise ConfigError(
            "data.unlabeled.dataset must be a TensorFlow Datasets name or "
            f"'folder:PATH', got {table}{unlabeled!r}; make it a folder of images"
        )


def _check_features(data: DataConfig, options: TfrecordOptions) -> None:
    if options.encoding != "image" and not options.shape:
        raise ConfigError(
            f"data.options.shape must be set for data.options.encoding = "
            f"{options.encoding!r}, got []; for example [28, 28, 1], or [12] of rows"
        )
    if options.encoding == "image" and tuple(options.shape[-1:]) not in _CHANNELS:
        raise ConfigError(
            "data.options.shape must end in 1 or 3 channels for encoded images, got "
            f"{list(options.shape)}; for example [3]"
        )
    if data.image_size and options.encoding != "image":
        raise ConfigError(
            f"data.image_size must be 0 for data.options.encoding = "
            f"{options.encoding!r}, got {data.image_size}; only encoded images resize"
        )
    if not data.image_size and options.encoding == "image" and len(options.shape) < 3:
        raise ConfigError(
            f"data.image_size must be set for {data.dataset!r}, whose images may have "
            "any size; for example data.image_size = 96, or all of data.options.shape"
        )


def _check_table(data: DataConfig, trainings: Mapping[str, TrainConfig]) -> None:
    if data.image_size:
        raise ConfigError(
            f"data.image_size must be 0 for the table {data.dataset!r}, got "
            f"{data.image_size}; remove it"
        )
    for path, section in _augmenting(data, trainings).items():
        if section.augment not in ("none", "inherit"):
            raise ConfigError(
                f"{path}.augment must be 'none' for the table {data.dataset!r}, got "
                f"{text(section.augment)}, which moves the pixels of images; remove it"
            )
