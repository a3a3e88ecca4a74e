"""Checks of the classes of a folder, and of what lies in its class folders."""

import os
from collections.abc import Mapping

from trainer.config import DataConfig
from trainer.config.class_folders import EXTENSIONS
from trainer.data.damage import such_files
from trainer.data.examples import DataError
from trainer.data.layout import Layout, in_one_form
from trainer.data.listed_files import ListedFiles

_NAMED = 5  # classes in a message


def check_others(data: DataConfig, layout: Layout) -> None:
    """Refuses files of other kinds in class folders, unless data.skip_corrupt."""
    if layout.others and not data.skip_corrupt:
        raise DataError(
            f"{os.path.join(data.path, layout.others[0])} lies in a class folder and "
            f"must be an image ({', '.join(EXTENSIONS)}), got another extension "
            f"({such_files(len(layout.others))}); remove or convert it, or set "
            "data.skip_corrupt = true to leave such files out"
        )


def check_classes(data: DataConfig, classes: Mapping[str, set[str]]) -> None:
    """Refuses splits of other classes, of which `classes` has the names of each."""
    first, *others = classes
    place = "labels" if data.kind == "list" else "class folders"
    for other in others:
        a, b = (set(map(in_one_form, classes[split])) for split in (first, other))
        if a != b:
            raise DataError(
                f"the splits {first} and {other} of {data.dataset!r} must have the "
                f"same classes, got only in {first}: {names_of(a - b)}; only in "
                f"{other}: {names_of(b - a)}; rename, add or remove {place}"
            )


def check_every_class(data: DataConfig, listed: Mapping[str, ListedFiles]) -> None:
    """Refuses a class of damaged images alone."""
    every = {name for lines in listed.values() for name in lines.class_names}
    examples = [lines.take(lines.are_examples) for lines in listed.values()]
    filled = {name for lines in examples for name in lines.class_names}
    empty = {*map(in_one_form, every)} - {*map(in_one_form, filled)}
    if empty:
        raise DataError(
            f"every class of {data.dataset!r} must have an image that can be decoded, "
            f"got only damaged ones in {names_of(empty)}; mend them, or remove the "
            "folder"
        )


def names_of(classes: set[str]) -> str:
    """Some class names for a message."""
    shown = ", ".join(sorted(classes)[:_NAMED]) or "none"
    more = len(classes) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
