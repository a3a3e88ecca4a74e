"""Which examples a split names, in TFDS's split syntax."""

import itertools

import numpy as np
import tensorflow_datasets as tfds

from trainer.config import DataConfig
from trainer.data.examples import DataError

# A whole split, the first example of a stretch of it, and one past the last.
Part = tuple[str, int, int]

_SETTINGS = ("train_split", "validation_split", "test_split")


def example_ids(builder: tfds.core.DatasetBuilder, split: str) -> np.ndarray:
    """Positions in the whole splits that `split` takes its examples from: int64 [M]."""
    stretches = [np.arange(first, last) for _, first, last in _parts(builder, split)]
    return np.concatenate(stretches)


def check(data: DataConfig, builder: tfds.core.DatasetBuilder) -> None:
    """Refuses splits of the config that cannot be used together.

    Raises:
      DataError: one is unknown or empty, or two hold the same example.
    """
    found: dict[str, list[Part]] = {}
    for name in _SETTINGS:
        parts = _known_parts(data, builder, name)
        if _shared_within(parts):
            raise DataError(
                f"data.{name} must hold each example once, got "
                f"{getattr(data, name)!r}, which holds {_shared_within(parts)} of them "
                "again; carve its parts apart"
            )
        for other, other_parts in found.items():
            if _shared(parts, other_parts):
                raise DataError(
                    f"data.{name} {getattr(data, name)!r} must share no example with "
                    f"data.{other} {getattr(data, other)!r}, got "
                    f"{_shared(parts, other_parts)} in both; carve them apart"
                )
        found[name] = parts


def _known_parts(
    data: DataConfig, builder: tfds.core.DatasetBuilder, name: str
) -> list[Part]:
    split = getattr(data, name)
    known = ", ".join(
        f"{whole} ({info.num_examples})" for whole, info in builder.info.splits.items()
    )
    try:
        parts = _parts(builder, split)
    except (ValueError, AssertionError, KeyError) as error:
        raise DataError(
            f"data.{name} must be a split of {data.dataset!r}, got {split!r}; "
            f"known: {known}, and parts of them as in 'train[:90%]'"
        ) from error
    if not any(last > first for _, first, last in parts):
        raise DataError(
            f"data.{name} must hold examples, got {split!r}, which is empty in "
            f"{data.dataset!r}; known: {known}"
        )
    return parts


def _parts(builder: tfds.core.DatasetBuilder, split: str) -> list[Part]:
    instruction = tfds.core.ReadInstruction.from_spec(split)
    parts = []
    for part in instruction.to_absolute(builder.info.splits):
        first = part.from_ or 0
        last = part.to
        if last is None:
            last = builder.info.splits[part.splitname].num_examples
        parts.append((part.splitname, first, max(first, last)))
    return parts


def _shared(a: list[Part], b: list[Part]) -> int:
    """How many examples are in both."""
    return sum(
        max(0, min(last, other_last) - max(first, other_first))
        for name, first, last in a
        for other_name, other_first, other_last in b
        if name == other_name
    )


def _shared_within(parts: list[Part]) -> int:
    return sum(_shared([a], [b]) for a, b in itertools.combinations(parts, 2))
