"""Where the images of a folder lie, which says what they are.

A path is relative to the folder and split at its slashes. Names that start with a dot,
and Thumbs.db, are as if they were not there.
"""

import dataclasses
from collections.abc import Iterable

import tensorflow as tf

from trainer.data.decode import reason
from trainer.data.examples import DataError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """What lies in a folder."""

    # {split: {path: class name}}; "" where there are no classes.
    images: dict[str, dict[str, str]]
    others: list[str]  # files in class folders that are no images by their extension


def layout_of(root: str, *, setting: str, may_be_empty: bool = False) -> Layout:
    """Finds the images of a folder, which the config names in `setting`.

    They lie in SPLIT/CLASS/, or in CLASS/ or beside each other, which is a split named
    train. What lies outside the class folders besides is no matter. One that images are
    still to come to `may_be_empty`.

    Raises:
      DataError: there is no such folder, no image in it or in a class, or images lie at
        different depths.
    """
    if not is_folder(root):
        raise DataError(
            f"{setting} must name a folder after 'folder:', got {root!r}, which is "
            "not there; a relative path starts at the working directory"
        )
    folders, files = _walked(root)
    images = sorted(path for path in files if is_image(path[-1]))
    if may_be_empty and not images:
        return Layout(images={}, others=[])
    depth = _depth(root, images, setting)
    others: list[str] = []
    if depth > 1:
        owners = {path[: depth - 1] for path in images}
        tops = {owner[:-1] for owner in owners}
        _check_class_folders(root, folders, owners, tops)
        others = _others(set(files) - set(images), tops, depth)
    found: dict[str, dict[str, str]] = {}
    for path in images:
        split = path[0] if depth == 3 else "train"
        class_name = path[-2] if depth > 1 else ""
        found.setdefault(split, {})["/".join(path)] = class_name
    return Layout(images=found, others=others)


def is_folder(root: str) -> bool:
    """Whether there is a folder at `root`.

    Raises:
      DataError: that cannot be told, as of a store that does not answer.
    """
    try:
        # Not isdir, which also says no of a store that does not answer just now.
        return bool(tf.io.gfile.stat(root).is_directory)
    except tf.errors.NotFoundError:
        return False
    except tf.errors.OpError as error:
        raise DataError(
            f"{root} must be a folder that can be read, got an error: {reason(error)}; "
            "mend it, or name another"
        ) from error


def _walked(root: str) -> tuple[list[Path], list[Path]]:
    """Every folder and every file."""
    folders: list[Path] = []
    files: list[Path] = []
    try:
        for top, inner, names in tf.io.gfile.walk(root, onerror=_refuse):
            above = tuple(part for part in top[len(root) :].split("/") if part)
            folders += [(*above, name) for name in inner]
            files += [(*above, name) for name in names]
    except (UnicodeDecodeError, tf.errors.OpError) as error:
        raise DataError(
            f"{root} must be readable with all its folders, and their names be UTF-8, "
            f"got an error: {reason(error)}; mend or remove what is not"
        ) from error
    return (
        [path for path in folders if all(map(is_visible, path))],
        [path for path in files if all(map(is_visible, path))],
    )


def _refuse(error: tf.errors.NotFoundError) -> None:
    """Of a folder that was seen, and that cannot be listed.

    It went this moment, or its store does not answer any more.
    """
    raise tf.errors.AbortedError(None, None, error.message) from error


def is_visible(name: str) -> bool:
    """Whether a file or folder of that name counts at all."""
    return name != "Thumbs.db" and not name.startswith(".")


def is_image(name: str) -> bool:
    """Whether a file is an image by its extension."""
    return name.lower().endswith(EXTENSIONS)


def _depth(root: str, images: list[Path], setting: str) -> int:
    """How many parts the path of every image has."""
    if not images:
        raise DataError(
            f"{root} must hold images ({', '.join(EXTENSIONS)}), got none; "
            f"{setting} must be 'folder:PATH', for PATH/SPLIT/CLASS/* or PATH/CLASS/*"
        )
    first = {len(path): path for path in reversed(images)}
    if len(first) > 1 or max(first) > 3:
        examples = " and ".join("/".join(path) for _, path in sorted(first.items()))
        raise DataError(
            f"the images in {root} must all lie in SPLIT/CLASS/, all in CLASS/ or all "
            f"beside each other, got {examples}; move them"
        )
    return next(iter(first))


def _check_class_folders(
    root: str, folders: list[Path], owners: set[Path], tops: set[Path]
) -> None:
    for folder in sorted(folders):
        if folder[:-1] in tops and folder not in owners:
            raise DataError(
                f"{root}/{'/'.join(folder)} must hold images of its class "
                f"({', '.join(EXTENSIONS)}), got none; add some or remove the folder"
            )


def _others(files: Iterable[Path], tops: set[Path], depth: int) -> list[str]:
    inside = (p for p in files if len(p) >= depth and p[: depth - 2] in tops)
    return sorted("/".join(path) for path in inside)
