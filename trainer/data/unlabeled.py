"""Images without labels that join the labelled ones.

They are images of a dataset of their own, of the same shape. Their label is -1.
"""

import dataclasses
import os

import numpy as np
from etils import epath

from trainer.config import DataConfig, UnlabeledData
from trainer.data import keeping, splits
from trainer.data.arrays import ArrayExamples
from trainer.data.examples import DataError, Examples
from trainer.data.folder import FolderSource, open_folder
from trainer.data.given import GivenData
from trainer.data.host_memory import empty
from trainer.data.image_files import FileExamples
from trainer.data.keeping import FILES, PIXELS
from trainer.data.source import Source, open_source
from trainer.data.tfds_source import TfdsSource, open_tfds

# Added to their ids, so that each is an example's own, and stays the same when there
# are more labelled ones.
UNLABELED_FROM = 2**31

_LISTS = "unlabeled"  # among the lists of a run


def open_sources(
    data: DataConfig,
    index_dir: epath.Path,
    *,
    may_write: bool = True,
    given: GivenData | None = None,
) -> tuple[Source, ...]:
    """Opens `data.dataset`, and after it `data.unlabeled` where there is one.

    Raises:
      DataError: as open_source does; or images of the two are not of one shape, are
        the same, or are too many for memory and not all in folders.
    """
    labeled = open_source(data, index_dir, may_write=may_write, given=given)
    if data.unlabeled is None:
        return (labeled,)
    _, (view, own_lists) = parts(data, index_dir)
    unlabeled = _open(view, own_lists, labeled.input_shape, may_write)
    _check_apart(data, labeled, unlabeled, data.unlabeled.split)
    num_bytes = labeled.num_bytes + unlabeled.num_bytes
    keeping.check(data, num_bytes)
    if keeping.resolve(data, num_bytes) == PIXELS:
        return labeled, unlabeled
    if isinstance(labeled, FolderSource) and isinstance(unlabeled, FolderSource):
        encoded = labeled.num_encoded_bytes + unlabeled.num_encoded_bytes
        fit = encoded <= data.memory_budget_bytes
        return labeled.in_files(fit=fit), unlabeled.in_files(fit=fit)
    if data.keep == FILES:
        raise DataError(
            f"data.keep must be 'pixels' where {data.dataset!r} and {view.dataset!r} "
            "are joined, because only folders can be read as one set from their files, "
            "got 'files'; remove it"
        )
    raise DataError(
        f"data.memory_budget_bytes must cover the decoded images of {data.dataset!r} "
        f"and {view.dataset!r} together, {num_bytes} bytes, because only folders can "
        f"be read as one set from their files, got {data.memory_budget_bytes}; raise "
        "it, lower data.image_size, or take smaller splits"
    )


def parts(
    data: DataConfig, index_dir: epath.Path
) -> list[tuple[DataConfig, epath.Path]]:
    """The section and where its lists are, and the same of data.unlabeled."""
    found: list[tuple[DataConfig, epath.Path]] = [(data, index_dir)]
    if data.unlabeled:
        view = UnlabeledData(**(vars(data) | {"dataset": data.unlabeled.dataset}))
        found.append((view, index_dir / _LISTS))
    return found


def concatenate(labeled: Examples, unlabeled: Examples) -> Examples:
    """The examples of both sources, those with labels first; both of one kind."""
    own_ids = unlabeled.ids + UNLABELED_FROM
    if isinstance(labeled, FileExamples) and isinstance(unlabeled, FileExamples):
        return labeled.joined_by(dataclasses.replace(unlabeled, ids=own_ids))
    if isinstance(labeled, ArrayExamples) and isinstance(unlabeled, ArrayExamples):
        labels = np.concatenate([labeled.labels, unlabeled.labels])
        ids = np.concatenate([labeled.ids, own_ids])
        inputs = empty((len(ids), *labeled.inputs.shape[1:]), labeled.inputs.dtype)
        np.concatenate([labeled.inputs, unlabeled.inputs], out=inputs)
        return ArrayExamples(inputs=inputs, labels=labels, ids=ids)
    kinds = f"{type(labeled).__name__} and {type(unlabeled).__name__}"
    raise TypeError(f"examples must be both in memory or both in files, got {kinds}")


def _open(
    data: DataConfig, index_dir: epath.Path, shape: tuple[int, ...], may_write: bool
) -> Source:
    """The source of images of `shape`."""
    height, width, channels = shape
    source: Source
    if data.is_folder:
        if height != width or channels not in (1, 3):
            raise _other_shape(data, shape, "squares of 3 colours or in grey")
        data = dataclasses.replace(data, image_size=height)
        source = open_folder(data, index_dir, channels=channels, may_write=may_write)
    else:
        source = open_tfds(data)
    if source.input_shape != shape:
        raise _other_shape(data, shape, " x ".join(map(str, source.input_shape)))
    return source


def _other_shape(data: DataConfig, shape: tuple[int, ...], got: str) -> DataError:
    return DataError(
        f"the images of {data.setting} {data.dataset!r} must have the shape of those "
        f"of data.dataset, {' x '.join(map(str, shape))}, got {got}; set "
        "data.image_size, or choose another set"
    )


def _check_apart(
    data: DataConfig, labeled: Source, unlabeled: Source, split: str
) -> None:
    for setting, other in data.splits.items():
        num_shared = _num_shared(labeled, other, unlabeled, split)
        if num_shared:
            raise DataError(
                f"data.unlabeled.split {split!r} must share no image with {setting} "
                f"{other!r}, got {num_shared} in both; carve them apart"
            )


def _num_shared(a: Source, split: str, b: Source, other: str) -> int:
    """Counts the images that are in a split of one source and in one of the other."""
    if isinstance(a, FolderSource) and isinstance(b, FolderSource):
        return len(_files(a, split) & _files(b, other))
    if isinstance(a, TfdsSource) and isinstance(b, TfdsSource):
        whole = a.builder.info.splits
        if a.builder.data_dir == b.builder.data_dir:
            return splits.num_shared(
                splits.parts_of(whole, split), splits.parts_of(whole, other)
            )
    return 0


def _files(source: FolderSource, split: str) -> set[str]:
    # A link leads to the image of another folder. Stores have no links.
    return {
        path if "://" in path else os.path.realpath(path)
        for path in source.paths(split)
    }
