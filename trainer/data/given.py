"""A dataset of Python objects, given to a run or made by a user's own function."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.config import ConfigError, DataConfig
from trainer.config.functions import import_function
from trainer.data.examples import DataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenData:
    """The parts of a dataset: arrays (x, y), a tf.data.Dataset, or what has items.

    A tf.data.Dataset has a known, finite length, and is batched or not. What has
    `__len__` and `__getitem__` gives one example for each number from 0 on. Examples
    are pairs (x, y), or dicts with two `columns`; y is the number of a class.
    """

    train: Any
    validation: Any = None
    test: Any = None
    class_names: Sequence[str] | None = None  # of labels 0, 1, ...; None: the numbers
    columns: Sequence[str] | None = None  # names of the input and of the label

    @property
    def parts(self) -> dict[str, Any]:
        """The parts that there are, by the names of their splits."""
        found = {name: getattr(self, name) for name in _PARTS}
        return {name: part for name, part in found.items() if part is not None}


_PARTS = ("train", "validation", "test")


def call_function(data: DataConfig) -> GivenData:
    """The dataset that the function in data.dataset gives for data.options.

    Raises:
      ConfigError: there is no such function, or it does not take these options.
      DataError: it fails, or gives something else.
    """
    function = import_function(data.dataset, setting="data.dataset")
    try:
        given = function(**data.options)
    except TypeError as error:
        raise ConfigError(
            f"data.dataset {data.dataset!r} must be callable as function(**options) "
            f"with data.options {data.options!r}: {error}"
        ) from error
    except Exception as error:
        raise DataError(
            f"data.dataset {data.dataset!r} must give the dataset, got "
            f"{type(error).__name__}: {error}; mend the function"
        ) from error
    return _as_given(data, given)


def _as_given(data: DataConfig, given: Any) -> GivenData:
    if isinstance(given, GivenData):
        return given
    fields = {field.name for field in dataclasses.fields(GivenData)}
    if isinstance(given, Mapping) and "train" in given and set(given) <= fields:
        return GivenData(**given)
    if isinstance(given, tuple) and len(given) == len(_PARTS):
        return GivenData(**dict(zip(_PARTS, given, strict=True)))
    is_pair = (
        isinstance(given, tuple) and len(given) == 2 and hasattr(given[0], "shape")
    )
    if is_pair or (not isinstance(given, tuple | Mapping) and given is not None):
        return GivenData(train=given)
    found = type(given).__name__
    if isinstance(given, tuple):
        found = f"a tuple of {len(given)}"
    if isinstance(given, Mapping):
        found = f"a dict of {', '.join(map(repr, given))}"
    raise DataError(
        f"data.dataset {data.dataset!r} must give trainer.data.GivenData, a dict of "
        f"train, validation and test, or these three in a tuple, got {found}; return "
        "one of these"
    )
