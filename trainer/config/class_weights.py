"""Weights of classes in the loss on the labels, from what the config says of them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from trainer.config.errors import ConfigError, check_known, quoted
from trainer.config.rules import between

BALANCED = "balanced"

# Far from where float32 would lose a class beside another.
_Weight = Annotated[float, between(1e-6, 1e6)]
ClassWeights = Literal["balanced"] | dict[str, _Weight]


def resolve_class_weights(
    given: str | Mapping[str, float],
    *,
    names: Sequence[str],
    counts: Sequence[int],
    split: str,
) -> tuple[float, ...]:
    """The weight of each class, in the order of the `names`; of mean 1 over examples.

    "balanced" gives a class of n among N examples of K classes N / (K n). `counts` are
    the examples of each class in the `split` that is learned from, as messages call it.

    Raises:
      ConfigError: a class is unknown, or has no weight or no example to get one from.
    """
    if isinstance(given, str):
        shares = _balanced(names, counts, split)
    else:
        shares = _of_table(given, names)
    mean = sum(
        share * count for share, count in zip(shares, counts, strict=True)
    ) / sum(counts)
    return tuple(share / mean for share in shares)


def _balanced(
    names: Sequence[str], counts: Sequence[int], split: str
) -> tuple[float, ...]:
    if empty := classes_without_examples(names, counts):
        raise ConfigError(
            f"data.class_weights = {BALANCED!r} needs an example of each class in "
            f"{split}, got none of {quoted(empty)}; make the split larger, or write a "
            "table of weights"
        )
    return tuple(1 / count for count in counts)


def _of_table(given: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    check_known(given, names, "data.class_weights must name classes of the data")
    if missing := [name for name in names if name not in given]:
        raise ConfigError(
            f"data.class_weights must have a weight for each of the data's "
            f"{len(names)} classes, got none for {quoted(missing)}; add "
            f'"{missing[0]}" = 1.0'
        )
    return tuple(given[name] for name in names)


def classes_without_examples(names: Sequence[str], counts: Sequence[int]) -> list[str]:
    """The names of the classes that are not there to be learned."""
    return [name for name, count in zip(names, counts, strict=True) if not count]
