"""Splits and classes of a folder of images, told by their paths.

A path is relative to the folder and split at its slashes. Names that start with a dot,
and what systems leave, are as if they were not there.
"""

import dataclasses
import unicodedata
from collections.abc import Iterable

import tensorflow as tf

from trainer.config import DataConfig, places
from trainer.config.class_folders import EXTENSIONS, is_image, is_visible, like_splits
from trainer.data import splits
from trainer.data.decode import reason
from trainer.data.examples import DataError
from trainer.data.image_list import images_of

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The images found in a folder, by split and class."""

    # {split: {path: class name}}; "" where there are no classes.
    images: dict[str, dict[str, str]]
    others: list[str]  # files in class folders that are no images by their extension


def layout_of(data: DataConfig, *, may_be_empty: bool = False) -> Layout:
    """Finds the images of a folder.

    They lie in SPLIT/CLASS/, or in CLASS/ or beside each other, which is a split named
    train; without labels they may lie in SPLIT/. What lies outside the class folders
    besides is no matter. One that images are still to come to `may_be_empty`. Names are
    in Unicode's form NFC. A list names its images itself.

    Raises:
      DataError: there is no such folder, no image in it or in a class, or images lie at
        different depths, or beside each other in splits although they have labels.
    """
    if data.kind == "list":
        return Layout(images=images_of(data), others=[])
    root, setting = data.path, data.setting
    if not is_folder(root):
        hint = places.path_hint(root)
        wrong = f"{setting} must name a folder after 'folder:', got {root!r}"
        raise DataError(f"{wrong}, which is not there; {hint}")
    folders, files = _walk(root)
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
    in_splits = depth == 3 or (depth == 2 and _are_splits(data, images))
    found: dict[str, dict[str, str]] = {}
    for path in images:
        split = in_one_form(path[0]) if in_splits else "train"
        class_name = in_one_form(path[-2]) if depth > 1 else ""
        found.setdefault(split, {})["/".join(path)] = class_name
    if depth == 2 and in_splits:
        for name in data.splits:
            splits.named_splits(data, found, name)  # or all would be taken to have gone
    return Layout(images=found, others=others)


def in_one_form(name: str) -> str:
    """A name as it is compared: Unicode has two forms of an "é", as systems differ."""
    return unicodedata.normalize("NFC", name)


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


def _walk(root: str) -> tuple[list[Path], list[Path]]:
    """Every folder and every file."""
    folders: list[Path] = []
    files: list[Path] = []
    try:
        for top, inner, names in tf.io.gfile.walk(root, onerror=_refuse):
            # Folders that are left out, such as lost+found, need not be readable.
            inner[:] = filter(is_visible, inner)
            above = tuple(part for part in top[len(root) :].split("/") if part)
            folders += [(*above, name) for name in inner]
            files += [(*above, name) for name in filter(is_visible, names)]
    except (UnicodeDecodeError, tf.errors.OpError) as error:
        raise DataError(
            f"{root} must be readable with all its folders, and their names be UTF-8, "
            f"got an error: {reason(error)}; mend or remove what is not"
        ) from error
    return folders, files


def _refuse(error: tf.errors.NotFoundError) -> None:
    """Raises the error for a folder that was seen and can no longer be listed.

    It went this moment, or its store does not answer any more.
    """
    raise tf.errors.AbortedError(None, None, error.message) from error


def _are_splits(data: DataConfig, images: Iterable[Path]) -> bool:
    """Whether the folders that hold images themselves are splits, and no classes."""
    names = {in_one_form(path[0]) for path in images}
    like = like_splits(names)
    if not data.is_labeled:
        wanted = {
            name for split in data.splits.values() for name in splits.names(split)
        }
        return bool(like or names & wanted)
    # A class may be called train, and lie among others.
    if len(like) > 1 or len(like) == len(names):
        raise DataError(
            f"{data.setting} {data.dataset!r} must hold images in PATH/SPLIT/CLASS/ or "
            f"PATH/CLASS/, got {', '.join(like)} with images and no class folders in "
            "them; sort the images into class folders, name images without labels in "
            f"data.unlabeled, or, where these are classes, move them into "
            f"{data.path}/train"
        )
    return False


def _depth(root: str, images: list[Path], setting: str) -> int:
    """The number of parts that the path of every image has."""
    if not images:
        raise DataError(
            f"{root} must hold images ({', '.join(EXTENSIONS)}), got none; "
            f"{setting} must be 'folder:PATH', for PATH/SPLIT/CLASS/* or PATH/CLASS/*"
        )
    first = {len(path): path for path in reversed(images)}
    if len(first) > 1 or max(first) > 3:
        examples = " and ".join("/".join(path) for _, path in sorted(first.items())[:2])
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
