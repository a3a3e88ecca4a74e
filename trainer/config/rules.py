"""Rules on single values, attached to the fields of the schema with `Annotated`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value must be: "must be " + `text` reads as a sentence."""

    holds: Callable[[Any], bool]
    text: str


@dataclasses.dataclass(frozen=True)
class OptionsOf:
    """The field holds the options of what a sibling field names.

    `table` maps each known name to the dataclass of its options.
    """

    field: str
    table: Mapping[str, type]


def at_least(low: float) -> Rule:
    """Not smaller than `low`."""
    return Rule(lambda value: bool(value >= low), f"at least {low}")


def above(low: float) -> Rule:
    """Larger than `low`."""
    return Rule(lambda value: bool(value > low), f"above {low}")


def between(low: float, high: float) -> Rule:
    """In the closed interval from `low` to `high`."""
    return Rule(lambda value: bool(low <= value <= high), f"between {low} and {high}")


# A share of something that never goes away whole.
FRACTION = Rule(lambda value: 0 <= value < 1, "at least 0 and below 1")

FILLED = Rule(bool, "other than empty")

Count = Annotated[int, at_least(1)]
