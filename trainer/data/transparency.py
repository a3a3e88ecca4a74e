"""Transparent pixels of the images of a folder, and what they lie on.

The kept lists say of each image what it lies on, so that a run, or soft targets, go on
as they began. Where no pixel is transparent every data.background is the same.
"""

import os
import re
from collections.abc import Mapping

import numpy as np
from etils import epath

from trainer.config import IGNORE, DataConfig, colour_of
from trainer.data import earlier_lists, file_list
from trainer.data.examples import DataError
from trainer.data.listed_files import OPAQUE, ListedFiles
from trainer.storage import files


def are_transparent(lines: ListedFiles) -> np.ndarray:
    """The images of a list that have transparent pixels: bool [M]."""
    return lines.backgrounds.where(lambda name: name not in ("", OPAQUE))


def are_blended(lines: ListedFiles) -> np.ndarray:
    """The images of a list with transparent pixels, which lie on a colour: bool [M]."""
    return lines.backgrounds.where(lambda name: name not in ("", OPAQUE, IGNORE))


def settle(
    data: DataConfig,
    root: str,
    listed: Mapping[str, ListedFiles],
    paths: Mapping[str, epath.Path],
    *,
    may_write: bool,
) -> dict[str, ListedFiles]:
    """Kept lists, by names, with what their images lie on; writes what was not known.

    Raises:
      DataError: that of some images is not data.background.
    """
    known = {}
    for name, lines in listed.items():
        known[name] = earlier_lists.fill_in(root, lines)
        if may_write and known[name] is not lines:
            file_list.write(paths[name], known[name])
        check(data, root, known[name], kept_in=paths[name])
    return known


def check(
    data: DataConfig, root: str, lines: ListedFiles, *, kept_in: epath.Path
) -> None:
    """Compares what the images of a kept list lie on with data.background.

    Raises:
      DataError: it is another.
    """
    is_other = are_transparent(lines) & lines.are_examples
    is_other &= ~lines.backgrounds.equals(data.background_name)
    if is_other.any():
        others = lines.take(is_other)
        first = others.backgrounds[0]
        raise DataError(
            f"data.background must be {_toml(first)}, with which {kept_in} was made, "
            f"for the transparent pixels of {os.path.join(root, others.paths[0])} "
            f"({len(others)} such images), got {_toml(data.background_name)}; set "
            f"data.background = {_toml(first)}, or start anew in another --workdir "
            "(with soft targets in another distill.soft_targets_dir)"
        )


def note(data: DataConfig) -> str:
    """Says that images have transparent pixels, and what becomes of these."""
    if data.background_colour is None:
        return "images with transparent pixels, whose alpha is dropped"
    return f"images with transparent pixels, which lie on {data.background_name}"


def read_background(index_dir: epath.Path) -> str:
    """Reads the background in a folder's lists; "" without transparent pixels.

    Raises:
      StorageError: one cannot be read.
      DataError: one says something else.
    """
    with files.wrap_read_errors(index_dir):
        for path in files.list_folder(index_dir):
            if path.suffix == ".jsonl":
                text = path.read_text(encoding="utf-8")
                # Not line by line, of which there may be a million. Within a text the
                # quotes would be escaped.
                found = re.search(rf'"background": "(?!{OPAQUE}")([^"]*)"', text)
                if found:
                    return _colour_name(found[1], path)
    return ""


def _colour_name(name: str, path: epath.Path) -> str:
    try:
        colour_of(name)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path} must say what transparent pixels lie on, got {name!r}; put it "
            "back, or set predict.background"
        ) from error
    return name


def _toml(name: str) -> str:
    return name if name.startswith("[") else f'"{name}"'
