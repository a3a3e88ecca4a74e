"""Rules on single values, attached to the fields of the schema with `Annotated`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from trainer.config import places


@dataclasses.dataclass(frozen=True)
class Rule:
    """A condition on a value: "must be " + `text` reads as a sentence.

    `schema` says the same to editors, as far as the keywords of JSON Schema can.
    """

    holds: Callable[[Any], bool]
    text: str
    schema: Mapping[str, Any] = dataclasses.field(compare=False)


# Compared as an object: its tables have no hash.
@dataclasses.dataclass(frozen=True, eq=False)
class OptionsOf:
    """The field holds the options of what a sibling field names.

    `table` maps each known name to the dataclass of its options. A user's own, where
    it may be `own`, is named package.module:function and has any options. Where many
    names share options, `kind` gives the row of the table, and `patterns` the names of
    the rows that have options, as regular expressions; "" is a user's own. One row,
    `prefix`, may be of all names that begin with it.
    """

    field: str
    table: Mapping[str, type]
    own: bool = False
    kind: Callable[[str], str] = str
    patterns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prefix: str | None = None

    def row(self, name: str) -> str:
        """The row of the table that has the options of a name."""
        if self.prefix is not None and name.startswith(self.prefix):
            return self.prefix
        return self.kind(name)


@dataclasses.dataclass(frozen=True)
class Reading:
    """A conversion of a value, done before the rules that follow it are checked.

    A file may write it as another type than the field has, `written`.
    """

    read: Callable[[Any], Any]
    written: Any = None


@dataclasses.dataclass(frozen=True)
class Implied:
    """The field may be absent where a sibling's value begins with `prefix`."""

    field: str
    prefix: str
    value: Any  # that it then has

    def applies(self, settings: Mapping[str, Any]) -> bool:
        """Whether the sibling among the `settings` of a section says the value."""
        sibling = settings.get(self.field)
        return isinstance(sibling, str) and sibling.startswith(self.prefix)


def above(low: float, *, most: float) -> Rule:
    """Larger than `low`, and not larger than `most`."""
    return Rule(
        lambda value: bool(low < value <= most),
        f"above {low} and at most {most}",
        {"exclusiveMinimum": low, "maximum": most},
    )


def between(low: float, high: float) -> Rule:
    """In the closed interval from `low` to `high`."""
    return Rule(
        lambda value: bool(low <= value <= high),
        f"between {low} and {high}",
        {"minimum": low, "maximum": high},
    )


# A share of something that never goes away whole.
FRACTION = Rule(
    lambda value: 0 <= value < 1,
    "at least 0 and below 1",
    {"minimum": 0, "exclusiveMaximum": 1},
)

FILLED = Rule(
    bool,
    "other than empty",
    {"minLength": 1, "minItems": 1, "minProperties": 1},
)

# Bounds far above what anybody needs, and below what TensorFlow can compute with.
MOST = 10**9  # steps, examples, seconds
MOST_PIXELS = 2**14  # a side
MOST_UNITS = 2**20  # of a layer
MOST_LAYERS = 100
MOST_THREADS = 1024
SMALLEST, LARGEST = 1e-30, 1e30  # of what float32 multiplies with others


# A module of Python by its dotted name, or none.
Module = Annotated[
    str,
    Rule(
        lambda name: not name or all(map(str.isidentifier, name.split("."))),
        "a module, such as package.module",
        {"pattern": r"^([^\W\d]\w*(\.[^\W\d]\w*)*)?$"},
    ),
]

# A file or a folder, or what names one after "folder:".
Place = Annotated[str, Reading(places.expand_home)]

Count = Annotated[int, between(1, MOST)]
CountOrNone = Annotated[int, between(0, MOST)]  # 0: none, or as the field says
Pixels = Annotated[int, between(0, MOST_PIXELS)]
Units = Annotated[int, between(1, MOST_UNITS)]
Positive = Annotated[float, between(SMALLEST, LARGEST)]
NotNegative = Annotated[float, between(0, LARGEST)]

LAYERS = Rule(
    lambda value: 0 < len(value) <= MOST_LAYERS,
    f"a list of 1 to {MOST_LAYERS}, one a layer",
    {"minItems": 1, "maxItems": MOST_LAYERS},
)


def setting_name(field: str) -> str:
    """The setting that a field of a dataclass holds: of `import_` it is "import".

    Words of Python's cannot be the names of fields.
    """
    return field.removesuffix("_")
