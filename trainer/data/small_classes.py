"""Classes that are too small for splits that nobody chose."""

import collections
from collections.abc import Iterable

from trainer.config import SPLITS_OF_CLASS_FOLDERS, DataConfig
from trainer.data.listed_files import ListedFiles

FEW = 10  # images, of which validation and test have one each on average


def small_classes(data: DataConfig, lists: Iterable[ListedFiles]) -> set[str]:
    """The classes with fewer than FEW images where a folder is split by default.

    Each as its name and the number of its images: "cat 3".
    """
    chosen = SPLITS_OF_CLASS_FOLDERS.items()
    if not data.is_labeled or any(getattr(data, k) != split for k, split in chosen):
        return set()
    images = collections.Counter[str]()
    for lines in lists:
        images.update(lines.classes.take(lines.are_examples))
    return {f"{name} {count}" for name, count in images.items() if count < FEW}
