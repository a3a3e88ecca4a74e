"""Tables that the registry's commands print."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from etils import epath

from trainer.config import Reference, flatten
from trainer.registry import card, versions
from trainer.registry.card import Card, number_text
from trainer.storage import files

_Rows = Sequence[tuple[str, ...]]


def listing(root: epath.Path) -> tuple[str, list[str]]:
    """A line for each version of each model, and what of them cannot be read.

    Raises:
      StorageError: the registry cannot be read.
    """
    unread: list[str] = []
    rows: list[tuple[str, ...]] = [
        ("model", "version", "", "test accuracy %", "parameters", "role", "registered")
    ]
    for name in versions.names(root):
        folder, promoted = root / name, None
        with _collect_errors(unread):
            promoted = versions.promoted_version(folder)
        known = versions.complete(folder)
        for number in versions.numbers(folder):
            mark, row = "not complete", tuple("----")
            if number in known:
                mark = "unreadable"
                with _collect_errors(unread):
                    row = _row(card.read(folder / str(number)))
                    mark = "promoted" if number == promoted else ""
            rows.append((name, str(number), mark, *row))
    if len(rows) == 1:
        return f"no models in {root}", unread
    return _align(rows), unread


def show(root: epath.Path, reference: Reference) -> str:
    """The card of a version.

    Raises:
      ConfigError: there is no such version.
      StorageError: its card or one of its files is damaged.
    """
    folder = versions.folder_of(root, reference)
    found = card.read(folder)
    for name in found["files"]:
        versions.check_file(folder, name)
    return f"{card.page(found)}\n{folder}: every file is as it was registered"


def compare(root: epath.Path, references: Iterable[Reference]) -> str:
    """Versions side by side: metrics, speed, size, and the settings that differ.

    Raises:
      ConfigError: there is no such version.
      StorageError: a card is damaged.
    """
    cards = [card.read(versions.folder_of(root, each)) for each in references]
    rows = [("", *(f"{each['name']}@{each['version']}" for each in cards))]
    for split in ("validation", "test"):
        for name, label, factor, digits in card.METRICS:
            values = [
                number_text(
                    each["metrics"][split].get(name), factor=factor, digits=digits
                )
                for each in cards
            ]
            rows.append((f"{split} {label}", *values))
    rows += [
        ("parameters", *(f"{each['model']['parameters']:,}" for each in cards)),
        ("bytes", *(f"{sum(each['sizes'].values()):,}" for each in cards)),
        ("ms an example, batch of 1", *(_latency(each) for each in cards)),
        ("code", *(str((each["code"]["git"] or {}).get("revision")) for each in cards)),
    ]
    settings = [flatten(each["config"]) for each in cards]
    for path in sorted({path for each in settings for path in each}):
        values = [repr(each.get(path, "absent")) for each in settings]
        if len(set(values)) > 1:
            rows.append((path, *values))
    return _align(rows)


@contextlib.contextmanager
def _collect_errors(unread: list[str]) -> Iterator[None]:
    """Adds to `unread` what the body cannot read, and goes on."""
    try:
        yield
    except files.StorageError as error:
        unread.append(str(error))


def _row(own: Card) -> tuple[str, ...]:
    accuracy = own["metrics"]["test"].get("accuracy")
    return (
        number_text(accuracy, factor=100, digits=2),
        f"{own['model']['parameters']:,}",
        own["role"],
        own["created"],
    )


def _latency(own: Card) -> str:
    return number_text(own["latency"]["ms_per_example"].get("1"), digits=3)


def _align(rows: _Rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )
