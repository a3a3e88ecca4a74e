"""Transparent pixels of the images of a folder, and what they lie on.

The kept lists say of each image what it lies on, so that a run, or soft targets, go on
as they began. Where no pixel is transparent every data.background is the same.
"""

import dataclasses
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from etils import epath

from trainer.config import IGNORE, DataConfig, colour_of
from trainer.data import file_list, image_kind
from trainer.data.examples import DataError
from trainer.data.file_list import EXAMPLE, OPAQUE, ListedFile
from trainer.data.readers import for_each
from trainer.storage import files


def is_transparent(line: ListedFile) -> bool:
    """Whether an image of a list has transparent pixels."""
    return line.background not in ("", OPAQUE)


def is_blended(line: ListedFile) -> bool:
    """Whether an image of a list has transparent pixels, which lie on a colour."""
    return is_transparent(line) and line.background != IGNORE


def settle(
    data: DataConfig,
    root: str,
    listed: Mapping[str, list[ListedFile]],
    paths: Mapping[str, epath.Path],
    *,
    may_write: bool,
) -> dict[str, list[ListedFile]]:
    """Kept lists, by names, with what their images lie on; writes what was not known.

    Raises:
      DataError: that of some images is not data.background.
    """
    known = {}
    for name, lines in listed.items():
        known[name] = _with_backgrounds(root, lines)
        if may_write and known[name] != lines:
            file_list.write(paths[name], known[name])
        check(data, root, known[name], kept_in=paths[name])
    return known


def check(
    data: DataConfig, root: str, lines: Iterable[ListedFile], *, kept_in: epath.Path
) -> None:
    """Compares what the images of a kept list lie on with data.background.

    Raises:
      DataError: it is another.
    """
    others = [
        line
        for line in lines
        if is_transparent(line)
        and line.state == EXAMPLE
        and line.background != data.background_name
    ]
    if others:
        first = others[0].background
        raise DataError(
            f"data.background must be {_toml(first)}, with which {kept_in} was made, "
            f"for the transparent pixels of {os.path.join(root, others[0].path)} "
            f"({len(others)} such images), got {_toml(data.background_name)}; set "
            f"data.background = {_toml(first)}, or start anew in another --workdir "
            "(with soft targets in another distill.soft_targets_dir)"
        )


def count(splits: Iterable[Iterable[ListedFile]]) -> int:
    """Images with transparent pixels in some splits, each once."""
    lines = itertools.chain.from_iterable(splits)
    return len({line.path for line in lines if is_transparent(line)})


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


def _with_backgrounds(root: str, lines: Sequence[ListedFile]) -> list[ListedFile]:
    """The lines, those of earlier versions with what they did: they dropped alpha.

    Raises:
      DataError: an image that was not looked at yet cannot be read, but is there.
    """

    def look(line: ListedFile) -> ListedFile:
        path = os.path.join(root, line.path)
        try:
            contents = file_list.contents_of(path, image_kind.HEADER_BYTES)
            if not image_kind.is_jpeg(contents):
                contents = file_list.contents_of(path)
        except DataError as error:
            if file_list.is_gone(error):
                return line
            raise
        has_alpha = image_kind.has_alpha(contents)
        behind = file_list.look_at(contents, IGNORE).background if has_alpha else OPAQUE
        return dataclasses.replace(line, background=behind)

    unknown = [
        i for i, x in enumerate(lines) if not x.background and x.state == EXAMPLE
    ]
    if not unknown:
        return list(lines)
    known = list(lines)
    found = for_each(look, [lines[i] for i in unknown], title="looking for alpha")
    for i, line in zip(unknown, found, strict=True):
        known[i] = line
    return known


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
