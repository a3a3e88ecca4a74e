"""Rules on single values, attached to the fields of the schema with `Annotated`."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """The value is not smaller than `low`."""

    low: float

    def holds(self, value: float) -> bool:
        return value >= self.low

    def __str__(self) -> str:
        return f"at least {self.low}"


@dataclasses.dataclass(frozen=True)
class Above:
    """The value is larger than `low`."""

    low: float

    def holds(self, value: float) -> bool:
        return value > self.low

    def __str__(self) -> str:
        return f"above {self.low}"


@dataclasses.dataclass(frozen=True)
class Between:
    """The value lies in the closed interval from `low` to `high`."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"between {self.low} and {self.high}"


@dataclasses.dataclass(frozen=True)
class FractionBelowOne:
    """The value is a probability that is never certain."""

    def holds(self, value: float) -> bool:
        return 0 <= value < 1

    def __str__(self) -> str:
        return "at least 0 and below 1"


@dataclasses.dataclass(frozen=True)
class NotEmpty:
    """The text or list holds something."""

    def holds(self, value: object) -> bool:
        return bool(value)

    def __str__(self) -> str:
        return "not empty"


@dataclasses.dataclass(frozen=True)
class OptionsOf:
    """The field holds the options of what a sibling field names.

    `table` maps each known name to the dataclass of its options.
    """

    field: str
    table: Mapping[str, type]
