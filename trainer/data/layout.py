"""Splits and classes of a folder of images, told by their paths.

A path is relative to the folder and split at its slashes. Names that start with a dot,
and what systems leave, are as if they were not there.
"""

import dataclasses
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

import tensorflow as tf

from trainer.config import DataConfig, places
from trainer.config.class_folders import EXTENSIONS, is_image, is_visible, like_splits
from trainer.data import splits
from trainer.data.decode import reason
from trainer.data.examples import DataError
from trainer.data.found_images import FoundImages
from trainer.data.image_list import images_of

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The images found in a folder, by split and class."""

    # {split: {path: class name}}; "" where there are no classes.
    images: dict[str, Mapping[str, str]]
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
        return Layout(images=dict(images_of(data)), others=[])
    root, setting = data.path, data.setting
    if not is_folder(root):
        hint = places.path_hint(root)
        wrong = f"{setting} must name a folder after 'folder:', got {root!r}"
        raise DataError(f"{wrong}, which is not there; {hint}")
    folders = _walk(root)
    filled = sorted((f for f in folders if f.images), key=lambda f: f.path)
    if may_be_empty and not filled:
        return Layout(images={}, others=[])
    depth = _depth(root, filled, setting)
    others: list[str] = []
    if depth > 1:
        tops = {folder.path[:-1] for folder in filled}
        _check_class_folders(root, folders, tops)
        others = _others(folders, tops, depth)
    in_splits = depth == 3 or (depth == 2 and _are_splits(data, filled))
    found: dict[str, FoundImages] = {}
    for folder in filled:
        split = in_one_form(folder.path[0]) if in_splits else "train"
        class_name = in_one_form(folder.path[-1]) if depth > 1 else ""
        images = found.setdefault(split, FoundImages())
        images.add("/".join(folder.path), class_name, folder.images)
    if depth == 2 and in_splits:
        for name in data.splits:
            splits.named_splits(data, found, name)  # or all would be taken to have gone
    return Layout(images=dict(found), others=others)


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Folder:
    """The files of a folder itself, without what systems leave."""

    path: Path
    images: list[str]
    others: list[str]  # files that are no images by their extension


def _walk(root: str) -> list[_Folder]:
    """Every folder, the one at `root` first."""
    folders = []
    try:
        for path, names in _of_store(root) if "://" in root else _of_disk(root):
            # Names that are not UTF-8 are told by their bytes.
            os.fsencode("/".join((*path, *names))).decode()
            visible = list(filter(is_visible, names))
            images = list(filter(is_image, visible))
            others = [] if len(images) == len(visible) else visible
            folders.append(
                _Folder(
                    path=path,
                    images=images,
                    others=[name for name in others if not is_image(name)],
                )
            )
    except (UnicodeError, OSError, tf.errors.OpError) as error:
        raise DataError(
            f"{root} must be readable with all its folders, and their names be UTF-8, "
            f"got an error: {reason(error)}; mend or remove what is not"
        ) from error
    return folders


def _of_disk(root: str) -> Iterator[tuple[Path, list[str]]]:
    """Each folder and the files in it; TensorFlow's walk asks for each file again."""
    above: list[Path] = [()]
    while above:
        path = above.pop()
        inner: list[str] = []
        names: list[str] = []
        with os.scandir(os.path.join(root, *path)) as entries:
            for entry in entries:
                (inner if _is_folder(entry) else names).append(entry.name)
        # Folders that are left out, such as lost+found, need not be readable.
        above += [(*path, name) for name in filter(is_visible, inner)]
        yield path, names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere
        return False


def _of_store(root: str) -> Iterator[tuple[Path, list[str]]]:
    for top, inner, names in tf.io.gfile.walk(root, onerror=_refuse):
        inner[:] = filter(is_visible, inner)
        yield tuple(part for part in top[len(root) :].split("/") if part), names


def _refuse(error: tf.errors.NotFoundError) -> None:
    """Raises the error for a folder that was seen and can no longer be listed.

    It went this moment, or its store does not answer any more.
    """
    raise tf.errors.AbortedError(None, None, error.message) from error


def _are_splits(data: DataConfig, filled: Iterable[_Folder]) -> bool:
    """Whether the folders that hold images themselves are splits, and no classes."""
    names = {in_one_form(folder.path[0]) for folder in filled}
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


def _depth(root: str, filled: Sequence[_Folder], setting: str) -> int:
    """The number of parts that the path of every image has."""
    if not filled:
        raise DataError(
            f"{root} must hold images ({', '.join(EXTENSIONS)}), got none; "
            f"{setting} must be 'folder:PATH', for PATH/SPLIT/CLASS/* or PATH/CLASS/*"
        )
    first = {len(folder.path) + 1: folder for folder in reversed(filled)}
    if len(first) > 1 or max(first) > 3:
        shallow = [folder for _, folder in sorted(first.items())[:2]]
        examples = " and ".join("/".join((*x.path, min(x.images))) for x in shallow)
        raise DataError(
            f"the images in {root} must all lie in SPLIT/CLASS/, all in CLASS/ or all "
            f"beside each other, got {examples}; move them"
        )
    return next(iter(first))


def _check_class_folders(root: str, folders: list[_Folder], tops: set[Path]) -> None:
    for folder in sorted(folders, key=lambda folder: folder.path):
        if folder.path and folder.path[:-1] in tops and not folder.images:
            raise DataError(
                f"{root}/{'/'.join(folder.path)} must hold images of its class "
                f"({', '.join(EXTENSIONS)}), got none; add some or remove the folder"
            )


def _others(folders: Iterable[_Folder], tops: set[Path], depth: int) -> list[str]:
    inside = (
        "/".join((*folder.path, name))
        for folder in folders
        if len(folder.path) + 1 >= depth and folder.path[: depth - 2] in tops
        for name in folder.others
    )
    return sorted(inside)
