"""Datasets as a Python program gives them, to the data section of a config."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainer import console
from trainer.config import ConfigError
from trainer.config.data import SPLITS, SPLITS_OF_CLASS_FOLDERS
from trainer.config.places import MEMORY

if TYPE_CHECKING:
    from trainer.data import GivenData

# Of the parts that are there, by whether validation and test are among them.
_SPLITS = {
    (True, True): ("train", "validation", "test"),
    (False, True): tuple(SPLITS.values()),
    (True, False): ("train[:90%]", "validation", "train[90%:]"),
    (False, False): tuple(SPLITS_OF_CLASS_FOLDERS.values()),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset: settings of its section, and the objects that they stand for."""

    section: Mapping[str, Any]
    given: "GivenData | None" = None


def describe(
    train: Any, validation: Any, test: Any, columns: Sequence[str] | None
) -> Dataset:
    """The dataset of these parts, or the one that `train` names or is.

    Raises:
      ConfigError: parts are given beside a whole dataset.
    """
    from trainer.data import GivenData  # loads TensorFlow

    others = {"validation": validation, "test": test, "columns": columns}
    is_name = isinstance(train, str | os.PathLike)
    is_dict = isinstance(train, Mapping) and "train" in train
    if is_dict and columns is not None:  # as of the splits of Hugging Face
        train, others = {"columns": columns, **train}, {**others, "columns": None}
    if is_name or is_dict or isinstance(train, GivenData):
        for name, value in others.items():
            if value is not None:
                what = os.fspath(train) if is_name else "a whole dataset"
                raise ConfigError(
                    f"{name} must be left out where the data are {what}, got a "
                    f"{type(value).__name__}; set the splits in config['data'], or "
                    "give the parts one by one"
                )
        if is_name:
            return Dataset(section={"dataset": os.fspath(train)})
        given = _of_dict(train) if is_dict else train
    else:
        given = GivenData(
            train=train, validation=validation, test=test, columns=columns
        )
    splits = _SPLITS["validation" in given.parts, "test" in given.parts]
    return Dataset(
        section={"dataset": MEMORY, **dict(zip(SPLITS, splits, strict=True))},
        given=given,
    )


def place(settings: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The data section with the `dataset` in it; of its splits the section's own win.

    Raises:
      ConfigError: it names another one.
    """
    name = dataset.section["dataset"]
    if settings.get("dataset", name) != name:
        raise ConfigError(
            "data.dataset must be left out where the data are given, got "
            f"{settings['dataset']!r} in the config; give one of both"
        )
    merged = {**dataset.section, **settings}
    if dataset.given is not None:
        carved = {k: v for k, v in merged.items() if k.endswith("split") and "[" in v}
        if carved:
            told = ", ".join(f"{k} {v!r}" for k, v in carved.items())
            console.log(f"data: {told}, of a fixed mixed order")
    return merged


def _of_dict(parts: Mapping[str, Any]) -> "GivenData":
    from trainer.data import GivenData

    fields = [field.name for field in dataclasses.fields(GivenData)]
    if unknown := [name for name in parts if name not in fields]:
        raise ConfigError(
            f"the data must be a dict of {', '.join(fields)}, got {unknown[0]!r} among "
            "them; leave it out"
        )
    return GivenData(**parts)
