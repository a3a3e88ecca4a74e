"""The parts of a page: what stands at its head, and its sections."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A titled part of a page, drawn by the template `part`."""

    name: str  # in addresses
    title: str
    part: str
    content: Any
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """A number that is seen first; `share` of it is drawn as a bar."""

    title: str
    number: str
    unit: str = ""
    note: str = ""
    share: float | None = None
    slot: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """A page beside this one; the one that is `here` has no address."""

    text: str
    address: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """The head of a page: its title, facts, verdict, cards and neighbours."""

    title: str
    kind: str
    facts: tuple[tuple[str, str], ...] = ()
    summary: str = ""
    verdict: str = ""
    way: str = ""  # how the seeds that would settle it are trained
    warning: str = ""
    cards: tuple[Card, ...] = ()
    links: tuple[Link, ...] = ()
