"""Splits in the syntax of TFDS, and the examples that each holds."""

import itertools
import re
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow_datasets as tfds

from trainer.config import DataConfig
from trainer.data.examples import DataError

# A whole split, the first example of a stretch of it, and one past the last.
Part = tuple[str, int, int]

# The whole splits of a dataset by their names.
Whole = Mapping[str, tfds.core.SplitInfo]


def whole(num_examples: Mapping[str, int]) -> Whole:
    """The whole splits of a dataset that TFDS does not know."""
    return {
        name: tfds.core.SplitInfo(name=name, shard_lengths=[count], num_bytes=0)
        for name, count in num_examples.items()
    }


def used_splits(data: DataConfig, known: Iterable[str]) -> list[str]:
    """The `known` whole splits that the config takes examples from.

    Those of the first setting come first.

    Raises:
      DataError: it names another.
    """
    found: list[str] = []
    for setting in data.splits:
        found += [
            name for name in named_splits(data, known, setting) if name not in found
        ]
    return found


def named_splits(data: DataConfig, known: Iterable[str], setting: str) -> list[str]:
    """The `known` whole splits that one setting names.

    Raises:
      DataError: it names another.
    """
    found, split = sorted(known), data.splits[setting]
    chosen = names(split)
    if "all" in chosen:
        chosen = chosen - {"all"} | set(found)
    if not chosen <= set(found):
        raise DataError(
            f"{setting} must be a split of {data.dataset!r}, got {split!r}; "
            f"known: {', '.join(found)}, and parts of them as in "
            f"'{found[0]}[:90%]'"
        )
    return sorted(chosen)


def names(split: str) -> set[str]:
    """The names of whole splits, or "all", in a split."""
    return {part.partition("[")[0].strip() for part in split.split("+")}


def example_ids(whole_splits: Whole, split: str) -> np.ndarray:
    """Positions in the whole splits that `split` takes its examples from: int64 [M]."""
    stretches = [
        np.arange(first, last) for _, first, last in parts_of(whole_splits, split)
    ]
    return np.concatenate(stretches)


def whole_names(whole_splits: Whole, split: str) -> list[str]:
    """The whole splits that `split` takes examples from, in its order."""
    return list(dict.fromkeys(name for name, *_ in parts_of(whole_splits, split)))


def record_bytes(whole_splits: Whole, names: Iterable[str]) -> float:
    """The mean size of the records of whole splits that TFDS knows."""
    used = [whole_splits[name] for name in names]
    num_bytes, count = (
        sum(int(getattr(one, name)) for one in used)
        for name in ("num_bytes", "num_examples")
    )
    return num_bytes / count


def files_of(whole_splits: Whole, names: Iterable[str]) -> dict[str, list[str]]:
    """The paths of the files of whole splits that TFDS knows."""
    return {
        name: [str(file.filename) for file in whole_splits[name].file_instructions]
        for name in names
    }


def parts_of(whole_splits: Whole, split: str) -> list[Part]:
    """The stretches of whole splits that `split` is made of."""
    instruction = tfds.core.ReadInstruction.from_spec(split)
    found = []
    for part in instruction.to_absolute(whole_splits):
        first = part.from_ or 0
        last = part.to
        if last is None:
            last = whole_splits[part.splitname].num_examples
        found.append((part.splitname, first, max(first, last)))
    return found


def check(data: DataConfig, whole_splits: Whole) -> None:
    """Refuses splits of the config that cannot be used together.

    Raises:
      DataError: one is unknown or empty, or two hold the same example.
    """
    found: dict[str, list[Part]] = {}
    for name, split in data.splits.items():
        parts = _known_parts(data, whole_splits, name)
        if _count_shared(parts):
            raise DataError(
                f"{name} must hold each example once, got {split!r}, which holds "
                f"{_count_shared(parts)} of them again; carve its parts apart"
            )
        for other, other_parts in found.items():
            if data.may_overlap(name, other):
                continue
            if num_shared(parts, other_parts):
                raise DataError(
                    f"{name} {split!r} must share no example with {other} "
                    f"{data.splits[other]!r}, got {num_shared(parts, other_parts)} in "
                    "both; carve them apart"
                )
        found[name] = parts


def _known_parts(data: DataConfig, whole_splits: Whole, name: str) -> list[Part]:
    split = data.splits[name]
    known = ", ".join(
        f"{part} ({info.num_examples})" for part, info in whole_splits.items()
    )
    try:
        found = parts_of(whole_splits, split)
    except (ValueError, AssertionError, KeyError) as error:
        raise DataError(
            f"{name} must be a split of {data.dataset!r}, got {split!r}; "
            f"known: {known}, and parts of them as in 'train[:90%]'{_odd(whole_splits)}"
        ) from error
    if not any(last > first for _, first, last in found):
        raise DataError(
            f"{name} must hold examples, got {split!r}, which is empty in "
            f"{data.dataset!r}; known: {known}"
        )
    return found


def _odd(names: Iterable[str]) -> str:
    """The way out where TFDS's syntax has no way to write a name."""
    odd = [name for name in names if not re.fullmatch(r"[\w-]+", name)]
    return (
        f"; rename {odd[0]!r}: a split has letters, digits, _ and - in its name"
        if odd
        else ""
    )


def num_shared(a: list[Part], b: list[Part]) -> int:
    """Counts the examples that are in both."""
    return sum(
        max(0, min(last, other_last) - max(first, other_first))
        for name, first, last in a
        for other_name, other_first, other_last in b
        if name == other_name
    )


def _count_shared(parts: list[Part]) -> int:
    return sum(num_shared([a], [b]) for a, b in itertools.combinations(parts, 2))
