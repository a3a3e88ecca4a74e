"""Colours of models: each has a slot, which is its place among the models."""

from collections.abc import Iterable

from trainer.report.inputs import original

# Okabe and Ito (2008): told apart with any colour vision. Black, yellow are left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
QUIET = len(PALETTE)  # the slot of lines that help to read


def slots(names: Iterable[str]) -> dict[str, int]:
    """The slot of each model, by its place in `names`; repeats after six.

    A corrected model shares that of the one that was trained.
    """
    names = list(names)
    trained = list(dict.fromkeys(original(name) for name in names))
    return {name: trained.index(original(name)) % len(PALETTE) for name in names}


def palette(names: Iterable[str]) -> dict[str, str]:
    """The colour of each model on paper; pages have lighter ones for dark screens."""
    return {name: PALETTE[slot] for name, slot in slots(names).items()}
