"""The version of the pixels that encoded images become, which runs and caches keep.

The first versions, which kept none, decoded JPEGs by a coarser transform, and cut
random crops out of images that were resized before. The next one resized crops less
exactly, and rounded large JPEGs otherwise. Other images they decoded as they are now.
"""

import os

from trainer.config import TfrecordOptions
from trainer.data import image_kind, splits, tfds_looks, tfrecord_files
from trainer.data.file_bytes import bytes_of
from trainer.data.folder import FolderSource
from trainer.data.keeping import FILES
from trainer.data.listed_files import ListedFiles
from trainer.data.readers import for_each
from trainer.data.source import Source
from trainer.data.tfds_source import TfdsSource

_NOW = "JPEGs decoded exactly, rows of crops resized exactly"
_EARLIER = ("", "JPEGs decoded exactly, crops cut before they are resized")
_JPEG_NAMES = (".jpg", ".jpeg")


def pixel_version(source: Source, *, crops: bool) -> str:
    """The version of what begins now; "" where none of its pixels were others before.

    With `crops` a training begins with a random crop. Of a folder, to which files may
    come, and of record files a version is kept in any case.
    """
    if isinstance(source, TfdsSource):
        return _NOW if has_changed(source, crops=crops) else ""
    return _NOW if source.data.is_folder or _is_of_encoded_records(source) else ""


def has_changed(
    source: Source,
    *,
    crops: bool,
    before: str = "",
    split: str = "",
    num_ids: int | None = None,
) -> bool:
    """Whether the version `before` made other pixels of some images than are made now.

    A version that is not known did. Of a folder that is asked of one whole split alone,
    and of its first ids, if they are named. Its files are looked at where no name is a
    JPEG's.

    Raises:
      DataError: a file cannot be read.
    """
    if before not in _EARLIER:
        return before != _NOW
    section = source.data
    if crops and section.keep == FILES and (section.is_folder or section.image_size):
        return True
    if isinstance(source, FolderSource):
        names = [split] if split else list(source.listed)
        return any(
            _has_jpegs(section.path, source.listed[name].take(slice(num_ids)))
            for name in names
        )
    if isinstance(source, TfdsSource):
        return source.has_jpegs
    return _is_of_encoded_records(source) and _records_have_jpegs(source)


def _has_jpegs(root: str, lines: ListedFiles) -> bool:
    paths = lines.paths.take(lines.are_examples)
    if any(path.lower().endswith(_JPEG_NAMES) for path in paths):
        return True

    def is_jpeg(path: str) -> bool:
        first = bytes_of(os.path.join(root, path), len(image_kind.JPEG))
        return image_kind.is_jpeg(first)

    return any(for_each(is_jpeg, paths, title="looking for JPEGs"))


def _is_of_encoded_records(source: Source) -> bool:
    options = source.data.options
    return isinstance(options, TfrecordOptions) and options.encoding == "image"


def _records_have_jpegs(source: Source) -> bool:
    found = tfrecord_files.find(source.data)
    return any(
        image_kind.is_jpeg(image)
        for name in splits.used_splits(source.data, found)
        for image in tfds_looks.first_images(found[name], source.data.options.image_key)
    )
