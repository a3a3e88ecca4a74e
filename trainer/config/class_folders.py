"""Folders of images by the names in them: PATH/SPLIT/CLASS/*, or PATH/CLASS/*."""

import os
import re
from collections.abc import Iterable

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")

# Files that systems, archives and network disks leave beside a user's own.
_OF_SYSTEMS = frozenset(
    (
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "lost+found"),
        *("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
        *("$recycle.bin", "system volume information", "network trash folder"),
        *("@tmp", "@synoresource", "@sharebin", "~snapshot", "found.000"),
    )
)

# Names of splits: train, test_images, "Training set", val2017, trainA beside trainB.
_USE = r"(train|test)(ing)?|val(id(ation)?)?|eval(uation)?|holdout|dev|unlabell?ed"
_THINGS = r"images?|imgs?|set|data|split"
_SPLIT = re.compile(
    rf"(({_THINGS})[-_. ]?)?({_USE})([-_. ]?({_THINGS}))?([-_. ]?v?\d+|[-_. ]?[AB])?",
    re.IGNORECASE,
)


def is_visible(name: str) -> bool:
    """Whether a file or folder of that name counts at all."""
    return not name.startswith(".") and name.lower() not in _OF_SYSTEMS


def is_image(name: str) -> bool:
    """Whether a file is an image by its extension."""
    return name.lower().endswith(EXTENSIONS)


def like_splits(names: Iterable[str]) -> list[str]:
    """Picks the names of folders that usually are splits."""
    return sorted(filter(_SPLIT.fullmatch, names))


def are_in(root: str) -> bool:
    """Whether the images of a folder on a disk lie in PATH/CLASS/*."""
    try:
        with os.scandir(root) as found:
            tops = {entry.name: entry.path for entry in found if _is_top(entry)}
        # One image is enough: they all lie at one depth, or are refused.
        return not like_splits(tops) and any(
            is_image(name) and is_visible(name)
            for folder in tops.values()
            for name in os.listdir(folder)
        )
    # ValueError: of a name that no folder can have.
    except (OSError, ValueError):
        return False  # those tell who read all of it


def _is_top(entry: os.DirEntry[str]) -> bool:
    return is_visible(entry.name) and entry.is_dir()
