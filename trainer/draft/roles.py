"""Whole splits that train, select and test, chosen by their names and sizes."""

import re
from collections.abc import Mapping
from typing import TypedDict

_TRAIN, _VALIDATION, _TEST = (
    re.compile(names, re.IGNORECASE)
    for names in ("train", r"(?<!e)val|\bdev", "test|eval|holdout")
)


class Splits(TypedDict):
    """The settings of [data] that name the splits."""

    train_split: str
    validation_split: str
    test_split: str


def choose(num_examples: Mapping[str, int]) -> tuple[Splits, str]:
    """The settings of the splits, and why they are so; `num_examples` are of each.

    What is missing is carved from the training split.
    """
    names = sorted(num_examples, key=lambda name: (-num_examples[name], name))
    others = [name for name in names if not _TRAIN.search(name)]
    validation, test = (
        next(filter(pattern.search, others), "") for pattern in (_VALIDATION, _TEST)
    )
    rest = [name for name in names if name not in (validation, test)]
    train = next(filter(_TRAIN.search, rest), rest[0] if rest else names[0])
    held_out = [name for name in (validation, test) if name not in ("", train)]
    there = ", ".join(f"{name} ({count:,})" for name, count in num_examples.items())
    if len(held_out) == 2:
        why = "As they are"
        parts = [train, *held_out]
    elif held_out:
        why = f"{held_out[0]!r} tests, and there is no other for selection"
        parts = [f"{train}[:90%]", f"{train}[90%:]", *held_out]
    else:
        why = "Carved from all there is"
        parts = [f"{train}[:80%]", f"{train}[80%:90%]", f"{train}[90%:]"]
    train, validation, test = parts
    chosen = Splits(train_split=train, validation_split=validation, test_split=test)
    return chosen, f"{why}: {there}."
